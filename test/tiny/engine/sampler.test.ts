import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Sampler, type SamplingOptions } from '../../../src/engine/index.ts';

const sampleOnce = (logits: number[], options: SamplingOptions, seen: number[] = []) =>
  new Sampler(options).sample(Float32Array.from(logits), seen);

/** How often each id comes out of `draws` draws. */
function frequencies(
  logits: readonly number[],
  options: SamplingOptions,
  draws: number,
  seen: number[] = [],
): number[] {
  const sampler = new Sampler({ seed: 1, ...options });
  const counts = logits.map(() => 0);
  for (let i = 0; i < draws; i++) counts[sampler.sample(Float32Array.from(logits), seen)]!++;
  return counts.map(count => count / draws);
}

/**
 * The definition, by full sorts: probabilities after penalty → temperature → top-k → top-p → min-p, each filter as
 * `transformers` documents it.
 */
function probabilities(logits: readonly number[], options: SamplingOptions, seen: readonly number[]): number[] {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  let scores = logits.map((x, id) => {
    // Logits are f32: a penalty may make two of them equal.
    const penalized = Math.fround(x < 0 ? x * repetitionPenalty : x / repetitionPenalty);
    return (seen.includes(id) ? penalized : x) / temperature;
  });
  const softmax = (values: number[]) => {
    const max = Math.max(...values);
    const weights = values.map(x => Math.exp(x - max));
    const sum = weights.reduce((a, b) => a + b);
    return weights.map(w => w / sum);
  };
  if (topK > 0 && topK < scores.length) {
    const kth = [...scores].sort((a, b) => b - a)[topK - 1]!;
    scores = scores.map(x => (x < kth ? Number.NEGATIVE_INFINITY : x));
  }
  if (topP < 1) {
    const p = softmax(scores);
    const ascending = scores.map((x, id) => [x, id] as const).sort(([x, i], [y, j]) => x - y || i - j);
    let cumulative = 0;
    const removed = ascending.slice(0, -1).filter(([, id]) => {
      cumulative += p[id]!;
      return cumulative <= 1 - topP;
    });
    for (const [, id] of removed) scores[id] = Number.NEGATIVE_INFINITY;
  }
  if (minP > 0) {
    const p = softmax(scores);
    const least = minP * Math.max(...p);
    scores = scores.map((x, id) => (p[id]! < least ? Number.NEGATIVE_INFINITY : x));
  }
  return softmax(scores);
}

describe('greedy', () => {
  test('temperature 0 takes the largest logit, the first of equal ones', () => {
    expect(sampleOnce([0, 3, 1, 3], {})).toBe(1);
    expect(sampleOnce([-5, -1, -2], { temperature: 0, topK: 2 })).toBe(1);
  });

  test('the repetition penalty divides positive and multiplies negative logits', () => {
    expect(sampleOnce([2, 1.5, 0], { repetitionPenalty: 1.5 }, [0])).toBe(1); // 2 / 1.5 < 1.5
    expect(sampleOnce([2, 1.5, 0], { repetitionPenalty: 1.2 }, [0])).toBe(0); // 2 / 1.2 > 1.5
    expect(sampleOnce([-1, -1.4], { repetitionPenalty: 1.5 }, [0, 0, 0])).toBe(1); // −1 · 1.5, once however often seen
  });

  test('logits without a number are an error, not token 0', () => {
    expect(() => sampleOnce([Number.NaN, Number.NaN], {})).toThrow(/expected finite logits/);
  });
});

describe('sampling by hand', () => {
  const logits = [0.5, 0.25, 0.15, 0.1].map(Math.log);

  test('temperature 1 draws by the probabilities', () => {
    const found = frequencies(logits, { temperature: 1 }, 20_000);
    for (const [id, p] of [0.5, 0.25, 0.15, 0.1].entries()) expect(found[id]).toBeCloseTo(p, 1);
  });

  test.each<[SamplingOptions, number[]]>([
    [{ topK: 2 }, [2 / 3, 1 / 3, 0, 0]],
    [{ topP: 0.5 }, [1, 0, 0, 0]],
    [{ topP: 0.51 }, [2 / 3, 1 / 3, 0, 0]],
    [{ topK: 3, topP: 0.6 }, [2 / 3, 1 / 3, 0, 0]],
    [{ minP: 0.4 }, [2 / 3, 1 / 3, 0, 0]],
    [{ temperature: 0.5, minP: 0.24 }, [0.8, 0.2, 0, 0]],
    [{ temperature: 1e-30 }, [1, 0, 0, 0]],
  ])('%j', (options, expected) => {
    const found = frequencies(logits, { temperature: 1, ...options }, 5000);
    for (const [id, p] of expected.entries()) {
      if (p === 0 || p === 1) expect(found[id]).toBe(p);
      else expect(Math.abs(found[id]! - p)).toBeLessThan(0.03);
    }
  });

  test('equal logits at the k-th place are all kept', () => {
    const found = frequencies([1, 0, 0, -1], { temperature: 1, topK: 2 }, 2000);
    expect(found[1]).toBeGreaterThan(0.1);
    expect(found[2]).toBeGreaterThan(0.1);
    expect(found[3]).toBe(0);
  });
});

test('the same seed gives the same draws, another seed others', () => {
  const draw = (seed: number) => {
    const sampler = new Sampler({ temperature: 1, seed });
    return Array.from({ length: 50 }, () => sampler.sample(new Float32Array(100)));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('every draw has a positive probability by the sorted definition, and every such token can be drawn', () => {
  const options = fc.record({
    temperature: fc.double({ min: 0.2, max: 3, noNaN: true }),
    topK: fc.integer({ min: 0, max: 12 }),
    topP: fc.double({ min: 0.05, max: 1, noNaN: true }),
    minP: fc.double({ min: 0, max: 0.5, noNaN: true }),
    repetitionPenalty: fc.double({ min: 0.5, max: 2, noNaN: true }),
    seed: fc.integer(),
  });
  // Logits of one decimal, so that ties happen; f32 so that both sides see the same numbers.
  const logits = fc.array(
    fc.integer({ min: -40, max: 40 }).map(x => Math.fround(x / 10)),
    { minLength: 1, maxLength: 10 },
  );
  fc.assert(
    fc.property(logits, options, fc.array(fc.nat(9), { maxLength: 4 }), (values, choice, seen) => {
      const expected = probabilities(values, choice, seen);
      const found = frequencies(values, choice, 100, seen);
      // A token on the very edge of a filter may fall either way by rounding.
      const [wider, narrower] = [1e-5, -1e-5].map(by => probabilities(values, widened(choice, by), seen));
      for (const [id, frequency] of found.entries()) {
        if (frequency > 0) expect(wider![id]).toBeGreaterThan(0);
        if (expected[id]! > 0.2 && narrower![id]! > 0) expect(frequency).toBeGreaterThan(0);
      }
    }),
    { numRuns: 300 },
  );
});

const widened = (choice: SamplingOptions, by: number): SamplingOptions => ({
  ...choice,
  topP: Math.min(1, choice.topP! + by),
  minP: Math.max(0, choice.minP! - by),
});

test('a filter is as quick as the vocabulary is long', () => {
  const logits = Float32Array.from({ length: 128_000 }, (_, i) => Math.sin(i * 12.9898) * 5);
  const sampler = new Sampler({ temperature: 0.8, topK: 40, topP: 0.9, minP: 0.01, seed: 1 });
  const start = performance.now();
  for (let i = 0; i < 20; i++) sampler.sample(logits.slice());
  expect((performance.now() - start) / 20).toBeLessThan(30);
});

test.each([
  [{ temperature: -1 }, /option temperature: expected a number of at least 0, got -1/],
  [{ topK: 1.5 }, /option topK: expected an integer/],
  [{ topP: 0 }, /option topP: expected a number above 0 and at most 1, got 0/],
  [{ minP: Number.NaN }, /option minP: .* got NaN/],
  [{ repetitionPenalty: 0 }, /option repetitionPenalty/],
  [{ seed: 0.5 }, /option seed: expected an integer/],
  [{ topk: 3 } as SamplingOptions, /topk \(did you mean topK\?\)/],
])('%j is refused', (options, message) => {
  expect(() => new Sampler(options)).toThrow(message);
});
