/** @file `llava quantize` on the command line: the copy, its plan and its report. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';
import { runCommand } from './run-command.ts';

const root = temporaryFolder();
const at = (name: string): string => join(root.path, name);

beforeAll(() => writeTinyModel(at('source')));
afterAll(() => root[Symbol.dispose]());

const run = (...argv: string[]) => runCommand(['quantize', ...argv]);

test('a report, and a plan that gives the same copy again', { timeout: 90_000 }, async () => {
  writeFileSync(at('page.txt'), 'what is in this picture a cat and a dog on the mat');
  const texts = ['--calibrate', at('page.txt'), '--text', at('page.txt')];
  const files = ['--report', at('report.json'), '--save-plan', at('plan.json')];
  const made = await run(at('source'), at('copy'), '--format', 'int4', '--finer', '0.3', ...texts, ...files);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  expect(made.stdout).toMatch(/relative errors of 2\d layers/);
  expect(made.stdout).toMatch(/perplexity +\d+\.\d+ → \d+\.\d+ \([+−]\d+\.\d+ %\) +\d+ tokens/);
  expect(made.stdout).toMatch(/answers changed +\d+ of 11/);
  const report = JSON.parse(readFileSync(at('report.json'), 'utf8'));
  const finer = report.layers.filter(({ format }: { format: string }) => format === 'w8a16');
  expect(finer.length).toBeGreaterThan(0);
  const plan = JSON.parse(readFileSync(at('plan.json'), 'utf8'));
  expect(report.plan).toEqual(plan);
  expect(await run(at('source'), at('again'), '--plan', at('plan.json'), '--no-calibrate')).toMatchObject({ code: 0 });
  const configs = ['copy', 'again'].map(name => JSON.parse(readFileSync(join(at(name), 'config.json'), 'utf8')));
  expect(configs[1].llava_ts_quantization).toEqual(configs[0].llava_ts_quantization);
});

test.each([
  [['--finer', '2'], 'option finer: expected a part from 0 to 1, got 2'],
  [['--finer', '0.1', '--no-calibrate'], 'option finer: expected a calibration, got none'],
  [['--calibrate', '/nowhere.txt'], '/nowhere.txt: expected a readable text'],
  [['--format', 'int5'], 'int5'],
])('refuses %j', async (options, error) => {
  const { code, stderr } = await run(at('source'), at('never'), ...options);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(error) });
});
