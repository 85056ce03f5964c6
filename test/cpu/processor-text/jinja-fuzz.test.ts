/** @file Damaged chat templates by the hundred thousand. `FUZZ_RUNS` sets another number. */

import { expect, test } from 'vitest';
import { fuzzJinja } from '../../tiny/processor-text/jinja-fuzz.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);

test(`${RUNS} damaged templates: each renders or is refused by name`, () => {
  const { refused, rendered } = fuzzJinja(RUNS, Number(process.env.FUZZ_SEED ?? 7));
  expect(refused).toBeGreaterThan(RUNS / 20);
  expect(rendered).toBeGreaterThan(RUNS / 20);
}, 1_200_000);
