/** @file A decoder compiled in parts that run one after another: the logits of the whole, through everything that a sequence does. */

import { expect, test } from 'vitest';
import { AbortedError } from '../../../src/core/index.ts';
import { type CompileModelOptions, compileModel, disposeCompiled } from '../../../src/engine/compile-model.ts';
import { type ImageFeatures, openModelFolder, Sequence } from '../../../src/engine/index.ts';
import { parseLlavaConfig } from '../../../src/models/index.ts';
import { randomIds } from './subject.ts';
import { relativeError, TINY_CONFIG, TINY_JSON, temporaryFolder, tinyWeights, writeTinyModel } from './tiny-model.ts';

const THREE_LAYERS = { text_config: { ...TINY_JSON.text_config, num_hidden_layers: 3 } };
const { language } = parseLlavaConfig({ ...TINY_JSON, ...THREE_LAYERS }, 'parts');
const features: ImageFeatures = { key: 'a', rows: 9, data: new Float32Array(9 * 64).map((_, i) => Math.sin(i)) };

async function logits(folder: string, options: CompileModelOptions): Promise<Float32Array[]> {
  const compiled = await compileModel(openModelFolder(folder), { threads: 1, ...options });
  try {
    using sequence = new Sequence(compiled.decoder, language, 20);
    const content = { ids: randomIds(40, 3), images: [{ start: 4, features }] };
    const made: Float32Array[] = [(await sequence.read({ ...content, ids: content.ids.slice(0, 20) })).slice()];
    made.push((await sequence.read(content)).slice(), (await sequence.append(9)).slice());
    made.push(...(await sequence.appendAll([5, 6, 7])));
    sequence.truncate(42);
    sequence.reserve(200);
    made.push((await sequence.append(8)).slice());
    return made;
  } finally {
    disposeCompiled(compiled);
  }
}

test.each<[number, CompileModelOptions]>([
  [2, {}],
  [3, { kvCache: 'f16' }],
])('%d parts, %j', async (parts, options) => {
  using folder = temporaryFolder();
  const json = THREE_LAYERS;
  await writeTinyModel(folder.path, {
    json,
    weights: tinyWeights(parseLlavaConfig({ ...TINY_JSON, ...json }, 'parts')),
  });
  const [whole, apart] = [await logits(folder.path, options), await logits(folder.path, { ...options, parts })];
  expect(apart).toHaveLength(7);
  for (const [i, row] of apart.entries()) expect(relativeError(row, whole[i]!)).toBeLessThan(1e-5);
});

test('a run that is cancelled between parts leaves the sequence usable', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const compiled = await compileModel(openModelFolder(folder.path), { threads: 1, parts: 2 });
  using sequence = new Sequence(compiled.decoder, TINY_CONFIG.language, 30);
  const content = { ids: randomIds(30, 3), images: [] };
  const want = (await sequence.read(content)).slice();
  sequence.truncate(0);
  const controller = new AbortController();
  const reading = sequence.read(content, controller.signal);
  controller.abort();
  await expect(reading).rejects.toBeInstanceOf(AbortedError);
  expect(await sequence.read(content)).toEqual(want);
  disposeCompiled(compiled);
});
