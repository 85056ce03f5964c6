import { expect, test } from 'vitest';
import { fuzz, TARGETS } from './fuzz.ts';

/** The cpu tier makes 100,000 of each. */
const RUNS = 1000;

for (const [name, target] of Object.entries(TARGETS)) {
  test(`${name}: ${RUNS} damaged files are read or refused, nothing else`, () => {
    for (const example of target.examples) target.parse(example);
    const { accepted, refused } = fuzz(target, RUNS);
    expect(accepted).toBeGreaterThan(RUNS / 100);
    expect(refused).toBeGreaterThan(RUNS / 10);
  });
}
