import { describe, expect, test, vi } from 'vitest';
import { agreementRow, correlation, cosine, indexOfLargest } from '../../../bench/agreement.ts';
import { type DatedRow, mergeResults, mergeRows } from '../../../bench/results.ts';
import { alternate, formatRows, race, row } from '../../../bench/rows.ts';
import { compact } from '../../../bench/speculation.ts';

vi.spyOn(process.stderr, 'write').mockReturnValue(true);

const parts = { name: 'read 640 tokens', peerName: 'llama.cpp Q8_0', n: 3 };

describe('rows', () => {
  test('a ratio is above 1 where ours is better, whatever is compared', () => {
    expect(row({ ...parts, ours: 10, peer: 40, unit: 'ms' }).ratio).toBe(4);
    expect(row({ ...parts, ours: 10, peer: 15, unit: 'MB' }).ratio).toBe(1.5);
    expect(row({ ...parts, ours: 20, peer: 25, unit: 'GB/s' }).ratio).toBe(0.8);
    expect(row({ ...parts, ours: 3, peer: 1, unit: 'tokens/run' }).ratio).toBe(3);
  });

  test('runs alternate; the first of each does not count; medians do', async () => {
    const order: string[] = [];
    const times: Record<string, number[]> = { ours: [1000, 3, 1, 2], peer: [1000, 8, 4, 6] };
    const take = (side: string) => async () => {
      order.push(side);
      return times[side]!.shift()!;
    };
    const result = await race({ ...parts, ours: take('ours'), peer: take('peer') }, 3);
    expect(result).toEqual({ ...parts, ours: 2, peer: 6, ratio: 3, unit: 'ms' });
    expect(order).toEqual(['ours', 'peer', 'ours', 'peer', 'ours', 'peer', 'ours', 'peer']);
  });

  test('what is warm is run as often as it counts', async () => {
    const run = vi.fn(async () => 5);
    expect(await alternate([run], 2, false)).toEqual([5]);
    expect(run).toHaveBeenCalledTimes(2);
  });

  test('a table has one line a row', () => {
    const table = formatRows([
      row({ ...parts, ours: 10, peer: 40, unit: 'ms' }),
      row({ ...parts, name: 'features', ours: 0.99987, peer: 1, unit: 'cosine' }),
    ]);
    expect(table.split('\n').map(line => line.split(/ {2,}/))).toEqual([
      ['read 640 tokens', '10.0 ms', 'llama.cpp Q8_0 40.0 ms', '4.00×'],
      ['features', '0.99987 cosine', 'llama.cpp Q8_0 1.00000 cosine', '1.00×'],
    ]);
  });
});

describe('agreement', () => {
  test('cosine and correlation', () => {
    expect(cosine([1, 0], [0, 2])).toBe(0);
    expect(cosine([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12);
    const logits = [1, 5, -2, 0.5];
    const logProbabilities = logits.map(value => value - 5.03);
    expect(correlation(logits, logProbabilities)).toBeCloseTo(1, 12);
    expect(correlation(logits, [...logProbabilities.slice(0, 3), Number.NaN])).toBeCloseTo(1, 12);
    expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
  });

  test('the likeliest token is the first of equals', () => {
    expect(indexOfLargest([1, 3, 3, 2])).toBe(1);
  });

  test('sides that do not compute the same are refused', () => {
    const alike = { name: 'logits', peerName: 'llama.cpp Q8_0', ours: 0.3, peer: 1, unit: 'correlation' } as const;
    expect(() => agreementRow(alike, 0.9)).toThrow(
      'logits: expected a correlation of at least 0.9 with llama.cpp Q8_0, got 0.3000',
    );
    expect(agreementRow(alike, 0.2)).toMatchObject({ ours: 0.3, ratio: 0.3, n: 1 });
    expect(() => agreementRow({ ...alike, ours: Number.NaN }, 0.9)).toThrow('got NaN');
  });
});

describe('results', () => {
  const dated = (name: string, ours: number, date: string): DatedRow => ({
    ...row({ ...parts, name, ours, peer: 40, unit: 'ms' }),
    date,
  });
  const machine = { processor: 'any', cores: 2, memoryBytes: 1, node: 'v20' };
  const old = [dated('a', 1, '2026-01-01'), dated('b', 2, '2026-01-01')];
  const fresh = [dated('b', 3, '2026-01-02'), dated('c', 4, '2026-01-02')];

  test('a part that is run again replaces its own rows only', () => {
    expect(mergeRows(old, fresh)).toEqual([old[0], ...fresh]);
  });

  test('rows of another machine or another version of the peer are dropped', () => {
    const merge = (before: object) =>
      mergeResults({ machine, peer: 'p 1', rows: old, ...before }, { machine, peer: 'p 1', rows: fresh }).rows;
    expect(merge({})).toHaveLength(3);
    expect(merge({ peer: 'p 0' })).toEqual(fresh);
    expect(merge({ machine: { ...machine, cores: 4 } })).toEqual(fresh);
  });
});

test('an answer in ids of a smaller vocabulary repeats itself where it did', () => {
  const given = { prompt: [40_000, 7, 40_000], answer: [7, 9, 7, 40_000] };
  expect(compact(given, 3)).toEqual({ prompt: [0, 1, 0], answer: [1, 2, 1] });
});
