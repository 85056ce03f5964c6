import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import { type OrderOptions, SampleOrder, type SampleSource } from '../../../src/data/index.ts';

/** A source whose samples are named by their index; every third is text. */
function source(name: string, length: number): SampleSource {
  return {
    name,
    length,
    sample: index => ({ id: `${name}${index}`, images: [], conversations: [] }),
    describe: index => ({ words: (index * 7919) % 83, modality: index % 3 === 0 ? 'text' : 'image' }),
  };
}

const weighted = fc.record({
  length: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(Number.POSITIVE_INFINITY)),
  weight: fc.double({ min: 0.1, max: 10, noNaN: true }),
});
const sources = fc
  .array(weighted, { minLength: 1, maxLength: 4 })
  .map(list => list.map(({ length, weight }, i) => ({ source: source('abcd'[i]!, length), weight })));
const options = fc.option(
  fc.record({
    groupByModalityLength: fc.record({
      batchSize: fc.integer({ min: 1, max: 3 }),
      microBatches: fc.integer({ min: 1, max: 3 }),
    }),
  }),
  { nil: {} },
) as fc.Arbitrary<OrderOptions>;

const names = (order: SampleOrder, start: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => order.at(start + i)).map(ref => `${ref.source.name}${ref.index}`);

describe('SampleOrder', () => {
  test('resumes anywhere as if unbroken, whatever was asked for before', () => {
    fc.assert(
      fc.property(sources, options, fc.nat(), fc.array(fc.nat(200)), (list, grouping, seed, starts) => {
        const unbroken = names(new SampleOrder(list, seed, grouping), 0, 220);
        const wandering = new SampleOrder(list, seed, grouping);
        for (const start of starts) {
          expect(names(wandering, start, 5)).toEqual(unbroken.slice(start, start + 5));
          expect(names(new SampleOrder(list, seed, grouping), start, 5)).toEqual(unbroken.slice(start, start + 5));
        }
      }),
      { numRuns: 50 },
    );
  });

  test('each epoch of a finite source is a permutation of it; a stream is read in order', () => {
    fc.assert(
      fc.property(sources, fc.nat(), (list, seed) => {
        const order = new SampleOrder(list, seed);
        const refs = Array.from({ length: 200 }, (_, i) => order.at(i));
        for (const { source } of list) {
          const taken = refs.filter(ref => ref.source === source).map(ref => ref.index);
          if (!Number.isFinite(source.length)) expect(taken).toEqual([...taken.keys()]);
          else
            for (let start = 0; start + source.length <= taken.length; start += source.length) {
              const epoch = taken.slice(start, start + source.length);
              expect(epoch.sort((a, b) => a - b)).toEqual([...epoch.keys()]);
            }
        }
      }),
    );
  });

  test('epochs and seeds differ', () => {
    const epochs = (seed: number) => {
      const all = names(new SampleOrder([{ source: source('a', 30), weight: 1 }], seed), 0, 90);
      return [0, 30, 60].map(start => all.slice(start, start + 30).join());
    };
    expect(new Set([...epochs(1), ...epochs(2), ...epochs(42)]).size).toBe(9);
  });

  test('sources come as often as their weights say', () => {
    const weights = [5, 3, 1, 1];
    const count = 20_000;
    const list = weights.map((weight, i) => ({ source: source('abcd'[i]!, 100), weight }));
    const drawn = names(new SampleOrder(list, 9), 0, count).map(name => name[0]);
    for (const [i, weight] of weights.entries()) {
      const share = weight / 10;
      const deviation = Math.sqrt(count * share * (1 - share));
      const got = drawn.filter(name => name === 'abcd'[i]).length;
      expect(Math.abs(got - count * share)).toBeLessThan(4 * deviation);
    }
  });

  test('grouping reorders whole windows, in updates of one modality', () => {
    const list = [
      { source: source('a', 61), weight: 2 },
      { source: source('b', 30), weight: 1 },
    ];
    const [block, window] = [8, 96]; // 91 samples, rounded up to whole blocks
    const grouped = new SampleOrder(list, 4, { groupByModalityLength: { batchSize: 4, microBatches: 2 } });
    const plain = names(new SampleOrder(list, 4), 0, 3 * window);
    for (const start of [0, window, 2 * window]) {
      expect(names(grouped, start, window).sort()).toEqual(plain.slice(start, start + window).sort());
      const isText = Array.from({ length: window - 2 * block }, (_, i) => grouped.at(start + i).index % 3 === 0);
      for (let i = 0; i < isText.length; i += block) expect(new Set(isText.slice(i, i + block)).size).toBe(1);
    }
  });

  test('decodes the samples asked for', async () => {
    const order = new SampleOrder([{ source: source('a', 10), weight: 1 }], 0);
    expect((await order.samples(3, 4)).map(sample => sample.id)).toEqual(names(order, 3, 4));
  });

  test('refuses what it cannot draw from', () => {
    const { describe: _, ...mute } = source('mute', 3);
    const grouping = { groupByModalityLength: { batchSize: 2, microBatches: 1 } };
    expect(() => new SampleOrder([], 0)).toThrow(LlavaError);
    expect(() => new SampleOrder([{ source: source('a', 0), weight: 1 }], 0)).toThrow('none in a');
    expect(() => new SampleOrder([{ source: source('a', 1), weight: 0 }], 0)).toThrow('weight above 0, got 0');
    expect(() => new SampleOrder([{ source: source('a', 1), weight: Number.NaN }], 0)).toThrow(LlavaError);
    expect(() => new SampleOrder([{ source: mute, weight: 1 }], 0, grouping)).toThrow('data mute: expected a source');
  });
});
