/** @file Computed weights that take the way over a temporary file. */

import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { f32Tensor } from '../../../src/core/index.ts';
import { spillComputed } from '../../../src/engine/spill.ts';
import { type ComputedTensor, isStored, readTensor, type WeightEntry } from '../../../src/weights/index.ts';
import { temporaryFolder } from './tiny-model.ts';

/** A tensor that counts how often it is made. */
function counted(name: string, made: string[]): ComputedTensor {
  const compute = () => {
    made.push(name);
    return f32Tensor([2], [made.length, 7]);
  };
  return { name: `stored.${name}`, dtype: 'f32', shape: [2], file: 'x', storedBytes: 8, compute };
}

test('large computed weights are made once, into a file that goes when they are taken', async () => {
  using cache = temporaryFolder();
  vi.stubEnv('XDG_CACHE_HOME', cache.path);
  const parent = join(cache.path, 'llava-ts/computed');
  mkdirSync(join(parent, '999999999-left'), { recursive: true });
  const made: string[] = [];
  const stored: WeightEntry = { name: 's', dtype: 'f32', shape: [1], file: '/s', offset: 3, byteLength: 4 };
  const computed = ['a', 'b', 'unused'].map(name => [name, counted(name, made)] as const);
  const weights = new Map<string, WeightEntry>([...computed, ['s', stored]]);
  {
    await using spilled = await spillComputed(weights, ['a', 'b', 's'], {
      maxInlineBytes: 15,
    });
    expect(made.sort()).toEqual(['a', 'b']);
    for (const name of ['a', 'b']) expect(isStored(spilled.weights.get(name)!)).toBe(true);
    expect(Number(readTensor(spilled.weights.get('b')!).data[1])).toBe(7);
    expect(spilled.weights.get('s')).toBe(stored);
    expect(readdirSync(parent).map(name => Number.parseInt(name, 10))).toEqual([process.pid]);
  }
  expect(readdirSync(parent)).toEqual([]);
  vi.unstubAllEnvs();
});

test('small ones stay as they are; an abort leaves nothing', async () => {
  using cache = temporaryFolder();
  vi.stubEnv('XDG_CACHE_HOME', cache.path);
  const made: string[] = [];
  const weights = new Map<string, WeightEntry>([['a', counted('a', made)]]);
  await using spilled = await spillComputed(weights, ['a'], { maxInlineBytes: 8 });
  expect(spilled.weights).toBe(weights);
  expect(existsSync(join(cache.path, 'llava-ts'))).toBe(false);
  const signal = AbortSignal.abort();
  await expect(spillComputed(weights, ['a'], { maxInlineBytes: 7, signal })).rejects.toThrow('load: aborted');
  expect(readdirSync(join(cache.path, 'llava-ts/computed'))).toEqual([]);
  expect(made).toEqual([]);
  vi.unstubAllEnvs();
});
