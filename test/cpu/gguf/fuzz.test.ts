/** @file Damaged GGUF files by the hundred thousand. `FUZZ_RUNS` sets another number. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fuzzGguf } from '../../tiny/gguf/fuzz.ts';
import { GOLDEN } from '../../tiny/gguf/helpers.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const MAX_GROWTH_BYTES = 2 ** 29;

test(`${RUNS} damaged files are read or refused, in bounded memory`, () => {
  const before = process.memoryUsage().rss;
  const { refused, read } = fuzzGguf(readFileSync(join(GOLDEN, 'small.gguf')), RUNS, 7);
  expect(refused).toBeGreaterThan(RUNS / 3);
  expect(read).toBeGreaterThan(RUNS / 100);
  expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
});
