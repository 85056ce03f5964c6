/** @file `llava bench`: what it measures, how it prints it, and models of random weights. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { benchmarkSvg } from '../../../src/app/cli/bench-svg.ts';
import type { Benchmark } from '../../../src/engine/index.ts';
import { median } from '../../../src/engine/index.ts';
import { TINY_JSON, temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';
import { runCommand } from './run-command.ts';

const root = temporaryFolder();
const model = join(root.path, 'model');
const quick = ['--threads', '1', '--prompts', '8,16,9000', '--decode', '2', '--repeats', '1'];

beforeAll(async () => {
  vi.stubEnv('XDG_CACHE_HOME', join(root.path, 'cache'));
  await writeTinyModel(model);
});

afterAll(() => {
  vi.unstubAllEnvs();
  root[Symbol.dispose]();
});

test('measures every part once, and leaves out prompts that do not fit', async () => {
  const { code, stdout } = await runCommand(['bench', '--model', model, ...quick, '--json']);
  expect(code).toBe(0);
  const figures = JSON.parse(stdout) as Benchmark;
  expect(figures.vision).toMatchObject({ tiles: 1, tokens: 9 });
  expect(figures.prefill.map(({ tokens }) => tokens)).toEqual([8, 16]);
  expect(figures.decode.map(({ past }) => past)).toEqual([8, 16]);
  const times = [figures.loadMs, figures.firstTokenMs, figures.prefill[0]!.ms, figures.decode[1]!.ms];
  for (const time of times) expect(time).toBeGreaterThan(0);
  expect(figures.peakBytes).toBeGreaterThan(1e7);
});

test('a language model alone has no figures of pictures', async () => {
  const config = join(root.path, 'language.json');
  writeFileSync(config, JSON.stringify({ model_type: 'llama', ...TINY_JSON.text_config, vocab_size: 2048 }));
  const { code, stdout, stderr } = await runCommand(['bench', '--synthetic', config, ...quick, '--json']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const figures = JSON.parse(stdout) as Benchmark;
  expect(figures.vision).toBeUndefined();
  expect(figures.firstTokenMs).toBeGreaterThan(0);
});

test('prints a table, and draws', async () => {
  const svg = join(root.path, 'figures.svg');
  const { stdout } = await runCommand(['bench', '--model', model, ...quick, '--svg', svg]);
  expect(stdout).toMatch(/^model +model\nload .*\nimage .*\nread 8 tokens .*\n/);
  expect(readFileSync(svg, 'utf8')).toContain('<polyline');
});

test('random weights of a configuration, made once for each form', async () => {
  const config = join(root.path, 'config.json');
  writeFileSync(config, JSON.stringify({ ...TINY_JSON, text_config: { ...TINY_JSON.text_config, vocab_size: 2048 } }));
  const argv = ['bench', '--synthetic', config, ...quick, '--json'];
  const first = await runCommand([...argv, '--quant', 'w8a8']);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  await runCommand([...argv, '--quant', 'w8a8']);
  const made = readdirSync(join(root.path, 'cache', 'llava-ts', 'synthetic')).filter(name => name.startsWith('w8a8-'));
  expect(made).toHaveLength(1);
});

test.each([
  [['--prompts', '8,x'], 'option --prompts: expected lengths such as 64,256, got "8,x"'],
  [['--image-size', '0x9'], 'option --image-size: expected a size such as 640x480, got "0x9"'],
  [['--quant', 'w8'], 'w8a8'],
])('refuses %s', async (argv, message) => {
  const { code, stderr } = await runCommand(['bench', '--model', model, ...argv]);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});

test('the picture names the model, escaped, and scales to the largest time', () => {
  const figures: Benchmark = {
    ...{ model: 'a<b>', loadMs: 1, vision: undefined, firstTokenMs: 1, peakBytes: 1 },
    prefill: [{ tokens: 10, ms: 330, tokensPerSecond: 30 }],
    decode: [{ past: 10, ms: 1.2, tokensPerSecond: 800 }],
  };
  const svg = benchmarkSvg(figures);
  expect(svg).toContain('a&lt;b&gt;');
  expect(svg).toContain('>400<');
  expect(svg).toContain('>2<');
});

test('median', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});
