import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import { groupByModalityLength, type SampleDescription } from '../../../src/data/index.ts';

const sample = fc.record({ words: fc.nat(60), modality: fc.constantFrom('image' as const, 'text' as const) });
const samples = fc.array(sample, { maxLength: 90 });
const options = fc.record({ batchSize: fc.integer({ min: 1, max: 5 }), microBatches: fc.integer({ min: 1, max: 4 }) });

const texts = (...words: number[]): SampleDescription[] => words.map(count => ({ words: count, modality: 'text' }));
const wordsOf = (list: readonly SampleDescription[], order: readonly number[]) => order.map(i => list[i]!.words);

function blocksOf<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

describe('groupByModalityLength', () => {
  test('is a permutation that depends on the seed alone', () => {
    fc.assert(
      fc.property(samples, options, fc.nat(), (list, shape, seed) => {
        const order = groupByModalityLength(list, shape, new Rng(seed));
        expect([...order].sort((a, b) => a - b)).toEqual([...list.keys()]);
        expect(groupByModalityLength(list, shape, new Rng(seed))).toEqual(order);
      }),
    );
  });

  test('each global batch is of one modality, except the last', () => {
    fc.assert(
      fc.property(samples, options, fc.nat(), (list, shape, seed) => {
        const size = shape.batchSize * shape.microBatches;
        const order = groupByModalityLength(list, shape, new Rng(seed));
        const mixed = blocksOf(order, size).map(block => new Set(block.map(i => list[i]!.modality)).size > 1);
        const images = list.filter(({ modality }) => modality === 'image').length;
        const texts = list.length - images;
        const last = images > 0 && texts > 0 ? (images % size || size) + (texts % size || size) : 0;
        expect(mixed.slice(0, (list.length - last) / size)).not.toContain(true);
        const rest = order.slice(list.length - last);
        expect(rest).toEqual([...rest].sort((a, b) => a - b));
      }),
    );
  });

  test('batches of both modalities come in random order', () => {
    const list = Array.from(
      { length: 40 },
      (_, i) => ({ words: 1, modality: i % 2 === 0 ? 'image' : 'text' }) as const,
    );
    const kinds = (seed: number): string => {
      const order = groupByModalityLength(list, { batchSize: 2, microBatches: 1 }, new Rng(seed));
      return blocksOf(order, 2)
        .map(([first]) => list[first!]!.modality[0])
        .join('');
    };
    const seen = new Set([1, 2, 3, 4, 5].map(kinds));
    expect(seen.size).toBe(5);
    for (const order of seen) expect(order).not.toMatch(/^i+t+.$|^t+i+.$/);
  });

  test('deals the longest first, each to the micro-batch with the least total', () => {
    const list = texts(1, 9, 10, 8);
    const order = groupByModalityLength(list, { batchSize: 2, microBatches: 2 }, new Rng(1));
    expect(wordsOf(list, order)).toEqual([10, 1, 9, 8]);
  });

  test('deals a block that does not divide in turn', () => {
    const list = texts(5, 7, 6);
    const order = groupByModalityLength(list, { batchSize: 2, microBatches: 2 }, new Rng(1));
    expect(wordsOf(list, order)).toEqual([7, 5, 6]);
  });

  test('micro-batches of an update differ little in length, and each update holds what chance gave it', () => {
    const list = texts(...Array.from({ length: 4096 }, (_, i) => (i * 37) % 509));
    const order = groupByModalityLength(list, { batchSize: 16, microBatches: 8 }, new Rng(3));
    for (const block of blocksOf(wordsOf(list, order), 128)) {
      const totals = blocksOf(block, 16).map(part => part.reduce((sum, words) => sum + words, 0));
      expect(Math.max(...totals) - Math.min(...totals)).toBeLessThan(200); // of about 4000
    }
  });
});
