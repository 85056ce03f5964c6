/** @file Every family there and back: the same weights, the same configuration, whatever the backbone, tower and projector. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tensorBytes } from '../../../src/core/index.ts';
import { convertModel, openModelFolder } from '../../../src/engine/index.ts';
import { blocksFor } from '../../../src/models/index.ts';
import { readTensor } from '../../../src/weights/index.ts';
import { contents } from './helpers.ts';

const MODELS = join(import.meta.dirname, '../../golden/models');
const root = mkdtempSync(join(tmpdir(), 'llava-families-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/**
 * What a folder says of its model, but for what is carried along unread and whose rules hold: pinpoints are turned to one
 * order, feature layers counted from the tower's first block.
 */
function configOf(folder: string) {
  const { config } = openModelFolder(folder);
  if (config.modelType !== 'llava') return config;
  const { extra, compat, squareMode, imageTokenId, anyres, format, vision, visionFeatureLayers, ...rest } = config;
  const { numHiddenLayers, ...tower } = vision;
  const turn = ([a, b]: readonly [number, number]) => (format === 'original' ? [a, b] : [b, a]);
  const pinpoints = anyres?.pinpoints.map(turn);
  return { ...rest, pinpoints, tower, layers: visionFeatureLayers.map(layer => blocksFor(layer, vision)) };
}

/** Digests by our names, so that any two layouts compare. */
function weightsOf(folder: string): Map<string, string> {
  const stored = contents(folder);
  return new Map(Array.from(openModelFolder(folder).weights, ([name, entry]) => [name, stored.get(entry.name)!]));
}

test.each(['llava-1.5', 'llava-1.5-full-gqa', 'llava-v1-linear', 'llava-next', 'llava-siglip-qwen2'])(
  '%s → original → hf',
  async name => {
    const [source, original, back] = [join(MODELS, name), join(root, name, 'original'), join(root, name, 'back')];
    const expectSame = (folder: string) => {
      expect(configOf(folder)).toEqual(configOf(source));
      expect(weightsOf(folder)).toEqual(weightsOf(source));
    };
    await convertModel(source, original, { to: 'original' });
    expectSame(original);
    const onward = convertModel(original, back, { to: 'hf' });
    if (!existsSync(join(source, 'tokenizer.json'))) return expect(onward).rejects.toThrow(/expected a tokenizer/);
    await onward;
    expectSame(back);
  },
);

test.each(['llava-1.5-odd', 'llava-clip-layers-mistral', 'llava-siglip-qwen2', 'llava-next'])(
  '%s → hf-new → hf',
  async name => {
    const [source, there, back] = [join(MODELS, name), join(root, name, 'new'), join(root, name, 'hf')];
    await convertModel(source, there, { to: 'hf-new' });
    await convertModel(there, back, { to: 'hf' });
    expect(configOf(back)).toEqual(configOf(source));
    expect(weightsOf(back)).toEqual(weightsOf(source));
  },
);

test.each(['mistral', 'qwen2', 'llama-tied', 'llama3-rope-biases'])(
  '%s, a language model alone, keeps all',
  async name => {
    const target = join(root, name);
    await convertModel(join(MODELS, name), target, { to: 'hf', maxShardBytes: 20_000 });
    expect(configOf(target)).toEqual(configOf(join(MODELS, name)));
    expect(weightsOf(target)).toEqual(weightsOf(join(MODELS, name)));
    await expect(convertModel(target, join(root, `${name}-2`), { to: 'original' })).rejects.toThrow(/expected a LLaVA/);
  },
);

test('an adapter comes out merged into its base', async () => {
  const [adapter, modelBase] = [join(MODELS, '../torch/lora/llava'), join(MODELS, 'end-to-end')];
  const target = join(root, 'merged');
  await expect(convertModel(adapter, target, { to: 'hf' })).rejects.toThrow(/expected a base model/);
  await convertModel(adapter, target, { to: 'hf', modelBase });
  const merged = openModelFolder(adapter, { modelBase }).weights;
  const written = openModelFolder(target).weights;
  expect([...written.keys()].sort()).toEqual([...merged.keys()].sort());
  for (const [name, entry] of merged) {
    const [got, wanted] = [written.get(name)!, entry].map(tensor => tensorBytes(readTensor(tensor)));
    expect([name, Buffer.compare(got!, wanted!)]).toEqual([name, 0]);
  }
  expect(weightsOf(target)).not.toEqual(weightsOf(modelBase));
});
