/**
 * @file Checkpoints of the published sizes: `llava info` tells what they are within a second, without reading weights, and
 * also from an index alone. Weight files have holes, so they take no disk. Conversion of a 7B: CONVERT_FULL_SIZE=1 (needs
 * 15 GB of disk).
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { describeModel } from '../../../src/engine/index.ts';
import { openWeights } from '../../../src/weights/index.ts';
import { PUBLISHED, writeSynthetic } from './synthetic.ts';

const MAIN = join(import.meta.dirname, '../../../dist/app/cli/run-cli.js');
const root = mkdtempSync(join(tmpdir(), 'llava-full-size-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Name = keyof typeof PUBLISHED;

/** Parameters by the published shapes, embeddings of the grown vocabulary included. */
const SIZES: readonly (readonly [name: Name, parameters: number, imageTokens: number])[] = [
  ['llava-hf/llava-1.5-7b-hf', 7_063_427_072, 576],
  ['llava-hf/llava-v1.6-mistral-7b-hf', 7_566_747_648, 2928],
  ['llava-hf/llava-v1.6-vicuna-13b-hf', 13_351_499_776, 2928],
  ['llava-hf/llava-v1.6-34b-hf', 34_752_083_968, 2928],
];

interface Run {
  readonly code: number;
  readonly stdout: string;
  /** Processor time, s: other work on the machine does not count. */
  readonly seconds: number;
  /** Most resident memory, bytes. */
  readonly peak: number;
}

/** Runs the command line in a process of its own. */
function llava(...argv: string[]): Run {
  const child = `
    import { runCli } from ${JSON.stringify(pathToFileURL(MAIN).href)};
    const { stdin, stdout, stderr } = process;
    const code = await runCli(process.argv.slice(1), { stdin, stdout, stderr, signal: new AbortController().signal });
    const { user, system } = process.cpuUsage();
    stderr.write(JSON.stringify({ code, seconds: (user + system) / 1e6, peak: 1024 * process.resourceUsage().maxRSS }));`;
  const options = { encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', child, ...argv], options);
  return { stdout, ...JSON.parse(stderr) };
}

/** `llava info`, parsed. */
function info(folder: string): Run & { readonly model: ReturnType<typeof describeModel> } {
  const run = llava('info', '--json', folder);
  expect(run.code).toBe(0);
  return { ...run, model: JSON.parse(run.stdout) };
}

const sum = (parts: ReturnType<typeof describeModel>['parts'], key: 'parameters' | 'bytes') =>
  parts.reduce((total, part) => total + part[key], 0);

test.each(SIZES)('%s from its headers', async (name, parameters, imageTokens) => {
  const folder = join(root, name);
  expect(await writeSynthetic(folder, PUBLISHED[name], 'zeros')).toBe(parameters);
  const { seconds, peak, model } = info(folder);
  console.log(`${name}: ${seconds.toFixed(2)} s of processor time, needs ${(model.memory.total / 1e9).toFixed(1)} GB`);
  expect(model.problems).toEqual([]);
  expect(sum(model.parts, 'parameters')).toBe(parameters);
  expect(sum(model.parts, 'bytes')).toBe(2 * parameters);
  expect(model.tokensPerImage).toBe(imageTokens);
  expect(seconds).toBeLessThan(1.5);
  expect(peak).toBeLessThan(500e6);
});

test.each(SIZES)('%s from its index', async (name, parameters) => {
  const folder = join(root, 'index', name);
  await writeSynthetic(folder, PUBLISHED[name], 'index');
  const { model } = info(folder);
  expect(sum(model.parts, 'parameters')).toBe(parameters);
  expect(sum(model.parts, 'bytes')).toBe(2 * parameters);
  expect(model.problems).toEqual([
    expect.stringMatching(/index.json: expected the shards it names, got no model-00001-of/),
  ]);
});

/** The 34B's 69 GB are not written. */
const CONVERTED = SIZES.map(([name]) => name).filter(name => !name.includes('34b'));

test.skipIf(!process.env.CONVERT_FULL_SIZE).each(CONVERTED)(
  '%s into the original layout, within three times its largest tensor',
  async name => {
    const folder = join(root, 'full', name);
    const [source, target] = [join(folder, 'source'), join(folder, 'target')];
    await writeSynthetic(source, PUBLISHED[name], 'zeros');
    const start = performance.now();
    const { code, seconds, peak } = llava('convert', source, target, '--to', 'original');
    const wall = (performance.now() - start) / 1000;
    console.log(
      `${name}: ${wall.toFixed(0)} s (${seconds.toFixed(0)} s of processor time), peak ${(peak / 1e6).toFixed(0)} MB`,
    );
    expect(code).toBe(0);
    expect(readdirSync(target)).toContain('config.json');
    const largest = Math.max(
      ...[...openWeights(source).entries.values()].map(({ shape }) => 2 * shape[0]! * (shape[1] ?? 1)),
    );
    expect(peak).toBeLessThan(3 * largest + 150e6);
    rmSync(folder, { recursive: true });
  },
);
