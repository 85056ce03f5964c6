/** @file Damaged weight files by the hundred thousand. `FUZZ_RUNS` sets another number for each parser. */

import { expect, test } from 'vitest';
import { fuzz, TARGETS } from '../../tiny/torch/fuzz.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const MAX_GROWTH_BYTES = 2 ** 29;

for (const [name, target] of Object.entries(TARGETS)) {
  test(`${name}: ${RUNS} damaged files are read or refused, in bounded memory`, () => {
    const before = process.memoryUsage().rss;
    const { accepted, refused } = fuzz(target, RUNS);
    expect(accepted).toBeGreaterThan(RUNS / 100);
    expect(refused).toBeGreaterThan(RUNS / 10);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
  });
}
