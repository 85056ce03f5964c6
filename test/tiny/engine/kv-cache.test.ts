/** @file Keys and values kept in f16: half the memory, nearly the same logits, the same answers. */

import { describe, expect, test } from 'vitest';
import { hostTensor, LlavaError } from '../../../src/core/index.ts';
import { describeModel, type LoadOptions, loadModel, type Sequence } from '../../../src/engine/index.ts';
import { parseLlavaConfig } from '../../../src/models/index.ts';
import { answer } from './outcome.ts';
import { randomIds } from './subject.ts';
import { relativeError, TINY_JSON, temporaryFolder, tinyWeights, writeTinyModel } from './tiny-model.ts';

const IDS = randomIds(40, 3);
const { text_config } = TINY_JSON;

const FAMILIES: readonly (readonly [string, object])[] = [
  ['grouped heads', {}],
  ['a sliding window', { text_config: { ...text_config, model_type: 'mistral', sliding_window: 12 } }],
  ['narrow heads', { text_config: { ...text_config, num_attention_heads: 8, num_key_value_heads: 4 } }],
];

/** Logits after a prompt read in two parts, after each of two tokens, and after a growth of the cache. */
async function logits(folder: string, options: LoadOptions): Promise<number[][]> {
  using model = await loadModel(folder, { threads: 1, ...options });
  using sequence: Sequence = model.sequence(20);
  const made: number[][] = [];
  const keep = (row: Float32Array) => void made.push(Array.from(row));
  keep(await sequence.read({ ids: IDS.slice(0, 20), images: [] }));
  keep(await sequence.read({ ids: IDS.slice(0, 37), images: [] }));
  for (const id of IDS.slice(37, 39)) keep(await sequence.append(id));
  sequence.reserve(100);
  keep(await sequence.append(IDS[39]!));
  return made;
}

describe.each(FAMILIES)('%s', (_name, json) => {
  test('logits are near those with a cache of f32, whole or in parts', async () => {
    using folder = temporaryFolder();
    await writeTinyModel(folder.path, {
      json,
      weights: tinyWeights(parseLlavaConfig({ ...TINY_JSON, ...json }, 'kv')),
    });
    const [full, half] = [await logits(folder.path, {}), await logits(folder.path, { kvCache: 'f16' })];
    const errors = half.map((row, i) => relativeError(row, full[i]!));
    expect(Math.max(...errors)).toBeLessThan(4e-3);
    expect(Math.max(...errors)).toBeGreaterThan(0); // it is another cache
    using model = await loadModel(folder.path, { threads: 1, kvCache: 'f16' });
    using whole = model.sequence(40);
    expect(relativeError(await whole.read({ ids: IDS, images: [] }), half.at(-1)!)).toBeLessThan(4e-3);
  });
});

test('an answer about a picture is the same', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  expect(await answer(folder.path, { kvCache: 'f16' })).toBe(await answer(folder.path, { kvCache: 'f32' }));
});

test('the memory foretold for the cache is half', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const cache = (kvCache: 'f32' | 'f16') => describeModel(folder.path, { kvCache }).memory.cache;
  expect(cache('f32')).toBe(2 * 4 * 2 * 2 * 16 * 640);
  expect(cache('f16')).toBe(cache('f32') / 2);
});

test('an unknown type is refused', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path, { weights: tinyWeights().set('x', hostTensor('f32', [1])) });
  const error = await loadModel(folder.path, { kvCache: 'int8' as 'f16' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LlavaError);
  expect((error as Error).message).toBe('option kvCache: expected one of f32, f16, got int8');
});
