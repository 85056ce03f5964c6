/**
 * @file Checkpoints of the published sizes: `llava info` tells what they are within a second, without reading weights, and
 * also from an index alone. Weight files have holes, so they take no disk. Conversion of a 7B: CONVERT_FULL_SIZE=1 (needs
 * 15 GB of disk).
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { describeModel } from '../../../src/engine/index.ts';
import { openWeights } from '../../../src/weights/index.ts';
import { PUBLISHED, writeSynthetic } from './synthetic.ts';

const MAIN = join(import.meta.dirname, '../../../dist/app/cli/main.js');
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

const timed = (folder: string) => {
  const start = performance.now();
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'info', '--json', folder], { encoding: 'utf8' });
  expect(status).toBe(0);
  return { seconds: (performance.now() - start) / 1000, model: JSON.parse(stdout) as ReturnType<typeof describeModel> };
};

const sum = (parts: ReturnType<typeof describeModel>['parts'], key: 'parameters' | 'bytes') =>
  parts.reduce((total, part) => total + part[key], 0);

test.each(SIZES)('%s from its headers', async (name, parameters, imageTokens) => {
  const folder = join(root, name);
  expect(await writeSynthetic(folder, PUBLISHED[name], 'zeros')).toBe(parameters);
  const { seconds, model } = timed(folder);
  console.log(`${name}: ${seconds.toFixed(2)} s, ${(model.memory.total / 1e9).toFixed(1)} GB of memory`);
  expect(model.problems).toEqual([]);
  expect(sum(model.parts, 'parameters')).toBe(parameters);
  expect(sum(model.parts, 'bytes')).toBe(2 * parameters);
  expect(model.tokensPerImage).toBe(imageTokens);
  // Generous: the wanted second is that of an idle machine.
  expect(seconds).toBeLessThan(10);
});

test.each(SIZES)('%s from its index', async (name, parameters) => {
  const folder = join(root, 'index', name);
  await writeSynthetic(folder, PUBLISHED[name], 'index');
  const { model } = timed(folder);
  expect(sum(model.parts, 'parameters')).toBe(parameters);
  expect(sum(model.parts, 'bytes')).toBe(2 * parameters);
  expect(model.problems).toEqual([
    expect.stringMatching(/index.json: expected the shards it names, got no model-00001-of/),
  ]);
});

test.skipIf(!process.env.CONVERT_FULL_SIZE)(
  'a 7B into the original layout, within three times its largest tensor',
  async () => {
    const name = 'llava-hf/llava-1.5-7b-hf';
    const [source, target] = [join(root, 'source'), join(root, 'target')];
    await writeSynthetic(source, PUBLISHED[name], 'zeros');
    const start = performance.now();
    const child = `
    import { runCli } from ${JSON.stringify(join(MAIN, '../run-cli.js'))};
    const { stdin, stdout, stderr } = process;
    const signal = new AbortController().signal;
    const code = await runCli(['convert', ${JSON.stringify(source)}, ${JSON.stringify(target)}, '--to', 'original'], { stdin, stdout, stderr, signal });
    console.log(JSON.stringify({ code, peak: 1024 * process.resourceUsage().maxRSS }));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', child], { encoding: 'utf8' });
    const { code, peak } = JSON.parse(stdout.trim().split('\n').at(-1)!);
    console.log(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s, peak ${(peak / 1e6).toFixed(0)} MB`);
    expect(code).toBe(0);
    expect(readdirSync(target)).toContain('config.json');
    const largest = Math.max(
      ...[...openWeights(source).entries.values()].map(({ shape }) => 2 * shape[0]! * (shape[1] ?? 1)),
    );
    expect(peak).toBeLessThan(3 * largest + 150e6);
  },
);
