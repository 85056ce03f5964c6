/** @file LLaVA v1 and v1.5 as their original repositories publish them: the vision tower comes from the repository they name. */

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { f32Tensor, type HostTensor } from '../../../src/core/index.ts';
import { describeModel, type LoadOptions, loadModel } from '../../../src/engine/index.ts';
import type { JsonObject, LlavaConfig } from '../../../src/models/index.ts';
import { readJson, saveWeights, tensorSource } from '../../../src/weights/index.ts';
import { hubWeights, originalName } from './original-folder.ts';
import { checkCase, GOLDEN } from './parity.ts';
import { type TemporaryFolder, temporaryFolder } from './tiny-model.ts';

const LOAD: LoadOptions = { threads: 1 };
const TOKENIZER = { model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = temporaryFolder();
  await writeOriginal('llava-1.5', 'llava-v1.5-tiny', { mm_projector_type: 'mlp2x_gelu', image_aspect_ratio: 'pad' });
  await writeOriginal('llava-v1-linear', 'LLaVA-tiny-v1', {});
});
afterAll(() => folder[Symbol.dispose]());
const path = (...names: string[]) => join(folder.path, ...names);

/** The golden's model without its tower in one folder, and its tower as a whole CLIP in `<org>/<name>-clip`. */
async function writeOriginal(golden: string, name: string, keys: JsonObject): Promise<void> {
  const [from, model, tower] = [join(GOLDEN, golden), path(name), path('openai', `${name}-clip`)];
  const config = readJson(join(from, 'config.json')) as { text_config: JsonObject; vision_config: JsonObject };
  const weights = [...hubWeights(from)];
  const isTower = ([weight]: [string, HostTensor]) => weight.startsWith('vision_tower.');
  await save(
    model,
    weights.filter(one => !isTower(one)),
    originalName,
  );
  const json = { ...config.text_config, ...keys, model_type: 'llava', mm_vision_tower: `openai/${name}-clip` };
  writeFileSync(join(model, 'config.json'), JSON.stringify(json));
  writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(TOKENIZER));
  const text: [string, HostTensor][] = [
    'text_model.final_layer_norm.bias',
    'text_projection.weight',
    'logit_scale',
  ].map(other => [other, f32Tensor([1], [1])]);
  await save(tower, [...weights.filter(isTower), ...text], weight => weight.replace(/^vision_tower\./, ''));
  const clip = { model_type: 'clip', vision_config: config.vision_config, text_config: {} };
  writeFileSync(join(tower, 'config.json'), JSON.stringify(clip));
}

async function save(to: string, weights: readonly [string, HostTensor][], rename: (name: string) => string) {
  mkdirSync(to, { recursive: true });
  await saveWeights(
    to,
    weights.map(([name, tensor]) => tensorSource(rename(name), tensor)),
  );
}

describe.each([
  ['llava-v1.5-tiny', 'llava-1.5', 'pad', 'mlp2x_gelu'],
  ['LLaVA-tiny-v1', 'llava-v1-linear', 'square', 'linear'],
])('%s', (name, golden, mode, projectorType) => {
  test('answers as Hugging Face’s layout does, with the tower beside it', async () => {
    using model = await loadModel(path(name), LOAD);
    expect(model.config).toMatchObject({ format: 'original', projectorType, visionFeatureSelect: 'patch' });
    expect(model.processor.vision!.mode).toBe(mode);
    await checkCase(model, golden, 'one_image');
  });
});

describe('whose rules hold for square pictures', () => {
  test.each([
    ['llava-v1.5-tiny', 'hf', 'square'],
    ['llava-v1.5-tiny', 'original', 'pad'],
  ] as const)('%s by %s: %s', async (name, compat, mode) => {
    using model = await loadModel(path(name), { ...LOAD, compat });
    expect((model.config as LlavaConfig).compat).toBe(compat);
    expect(model.processor.vision!.mode).toBe(mode);
  });
});

test('a tokenizer without the markers that the configuration asks for is refused', async () => {
  using copy = temporaryFolder();
  cpSync(folder.path, copy.path, { recursive: true });
  const file = join(copy.path, 'LLaVA-tiny-v1', 'config.json');
  writeFileSync(file, JSON.stringify({ ...(readJson(file) as JsonObject), mm_use_im_start_end: true }));
  await expect(loadModel(join(copy.path, 'LLaVA-tiny-v1'), LOAD)).rejects.toThrow(
    /expected a tokenizer with <im_start> and <im_end>.* got one without <im_start> and <im_end>/,
  );
});

describe('the vision tower', () => {
  const name = 'llava-v1.5-tiny';
  const tower = `openai/${name}-clip`;
  /** Alone in a folder, so that no tower is near. */
  async function alone(use: (model: string) => Promise<void>) {
    using lonely = temporaryFolder();
    cpSync(path(name), join(lonely.path, name), { recursive: true });
    await use(join(lonely.path, name));
  }

  test('is given by option', () =>
    alone(async model => {
      using loaded = await loadModel(model, { ...LOAD, visionTower: path(tower) });
      await checkCase(loaded, 'llava-1.5', 'one_image');
      expect(describeModel(model, { visionTower: path(tower) }).problems).toEqual([]);
    }));

  test('comes from the Hub by its repository’s name', () =>
    alone(async model => {
      using cache = temporaryFolder();
      const repo = join(cache.path, `models--${tower.replace('/', '--')}`);
      mkdirSync(join(repo, 'refs'), { recursive: true });
      writeFileSync(join(repo, 'refs/main'), 'abc');
      cpSync(path(tower), join(repo, 'snapshots/abc'), { recursive: true });
      using loaded = await loadModel(model, { ...LOAD, hub: { cacheFolder: cache.path, offline: true } });
      await checkCase(loaded, 'llava-1.5', 'one_image');
    }));

  test('that is nowhere is named', () =>
    alone(async model => {
      await expect(loadModel(model, LOAD)).rejects.toThrow(`or the folder of ${tower} beside the model's`);
    }));

  test('of a known kind is described without its folder, and named as missing', () =>
    alone(async model => {
      const json = readJson(join(model, 'config.json')) as JsonObject;
      const known = { ...json, mm_vision_tower: 'openai/clip-vit-large-patch14-336' };
      writeFileSync(join(model, 'config.json'), JSON.stringify(known));
      const { problems, tokensPerImage } = describeModel(model);
      expect(tokensPerImage).toBe(576);
      expect(problems.join()).toMatch(/expected weights of the vision tower, or the folder of openai\/clip-vit-large/);
    }));

  test('of another kind is refused', () =>
    alone(async model => {
      const wrong = loadModel(model, { ...LOAD, visionTower: path(name) });
      await expect(wrong).rejects.toThrow(
        /vision tower openai\/llava-v1.5-tiny-clip: expected clip_vision_model|model_type/,
      );
    }));

  test('option visionTower is refused for a model that has its own', async () => {
    const loading = loadModel(join(GOLDEN, 'llava-1.5'), { ...LOAD, visionTower: path(tower) });
    await expect(loading).rejects.toThrow(/option visionTower: expected a model without a vision tower of its own/);
  });
});
