/**
 * @file Models that need a base: adapters, a projector alone, deltas. An adapter's answer is that of peft's merged model in
 * transformers; the others are a golden model taken apart, whose answer must come back.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type HostTensor, hostTensor } from '../../../src/core/index.ts';
import {
  describeModel,
  encodableImage,
  generateTokens,
  type LoadOptions,
  loadModel,
} from '../../../src/engine/index.ts';
import { imageLayout, type JsonObject, LLAVA_NAMES, ourName } from '../../../src/models/index.ts';
import {
  entrySource,
  makeDelta,
  openSafetensors,
  openWeights,
  readJson,
  readTensor,
  saveWeights,
  type TensorSource,
  tensorSource,
  type WeightStore,
  writeTorch,
} from '../../../src/weights/index.ts';
import { originalName } from './original-folder.ts';
import { temporaryFolder } from './tiny-model.ts';

const GOLDEN = join(import.meta.dirname, '../../golden');
const WHOLE = join(GOLDEN, 'models/end-to-end');
const ADAPTER = join(GOLDEN, 'torch/lora/llava');
const CONFIG = readJson(join(WHOLE, 'config.json')) as JsonObject;

const greedyOf = (file: string): number[] => (readJson(file) as { greedy: number[] }).greedy;
const wholeGreedy = (readJson(join(WHOLE, 'golden.json')) as { cases: { v1: { greedy: number[] } } }).cases.v1.greedy;

/** The first `count` greedy tokens after the golden's prompt and picture. */
async function answer(folder: string, options: LoadOptions, count: number): Promise<number[]> {
  using model = await loadModel(folder, options);
  if (model.config.modelType !== 'llava') throw new Error('not a LLaVA');
  const { entries } = openSafetensors(join(WHOLE, 'golden.safetensors'));
  const point = (name: string): HostTensor => readTensor(entries.get(`v1.${name}`)!);
  const pixels = hostTensor('f32', point('pixel_values').shape, point('pixel_values').data);
  const layout = imageLayout(model.config, { width: 1, height: 1 });
  const [features] = await model.encodeImages([encodableImage({ pixels, layout })]);
  const marked = Array.from(point('input_ids').data, Number);
  const mark = CONFIG.image_token_index as number;
  const ids = marked.map(id => (id === mark ? 0 : id));
  using sequence = model.sequence(ids.length + count);
  const logits = await sequence.read({ ids, images: [{ start: marked.indexOf(mark), features: features! }] });
  const tokens = [];
  for await (const id of generateTokens(sequence, logits, new Set(), [], { maxTokens: count })) tokens.push(id);
  return tokens;
}

test("an adapter over a LLaVA answers as peft's merged model in transformers", async () => {
  const greedy = greedyOf(join(ADAPTER, 'golden.json'));
  expect(await answer(ADAPTER, { modelBase: WHOLE }, 32)).toEqual(greedy);
  expect(greedy).not.toEqual(wholeGreedy.slice(0, 32));
  await expect(loadModel(ADAPTER)).rejects.toThrow(
    `${ADAPTER}: expected a base model (option modelBase) for an adapter, which says that it is "llava-hf/end-to-end", got none`,
  );
});

test('an adapter is described with its base', () => {
  const [whole, adapted] = [describeModel(WHOLE), describeModel(ADAPTER, { modelBase: WHOLE })];
  expect(adapted.problems).toEqual([]);
  expect(adapted.memory).toEqual(whole.memory);
  expect(adapted.tokenizerSize).toBe(whole.tokenizerSize);
  const bytes = (model: typeof whole): number => model.parts.reduce((sum, part) => sum + part.bytes, 0);
  expect(bytes(adapted)).toBeGreaterThan(bytes(whole));
});

/** Weights of the golden model under the original repository's names. */
function originalSources(): TensorSource[] {
  const store = openWeights(WHOLE);
  return Array.from(store.entries.values(), entry =>
    entrySource(entry, originalName(ourName(LLAVA_NAMES, entry.name)!)),
  );
}

/** Writes `base`, the language model alone with the tokenizer, and `tiny-clip`, the tower, as they would be published. */
async function writeParts(
  folder: string,
): Promise<{ base: string; language: TensorSource[]; projector: TensorSource[] }> {
  const [base, tower] = [join(folder, 'base'), join(folder, 'tiny-clip')];
  const isOf = (pattern: RegExp) => originalSources().filter(({ name }) => pattern.test(name));
  const language = isOf(/^(lm_head|model\.(embed_tokens|layers|norm))\./);
  await saveWeights(base, language);
  writeFileSync(join(base, 'config.json'), JSON.stringify(CONFIG.text_config));
  for (const name of readdirSync(WHOLE).filter(file => file.startsWith('tokenizer'))) {
    cpSync(join(WHOLE, name), join(base, name));
  }
  const inner = 'model.vision_tower.vision_tower.';
  const towerSources = isOf(/vision_tower/).map(source => ({ ...source, name: source.name.slice(inner.length) }));
  await saveWeights(tower, towerSources);
  writeFileSync(
    join(tower, 'config.json'),
    JSON.stringify({ model_type: 'clip', vision_config: CONFIG.vision_config }),
  );
  return { base, language, projector: isOf(/mm_projector/) };
}

const ORIGINAL_CONFIG: JsonObject = {
  ...(CONFIG.text_config as JsonObject),
  model_type: 'llava_llama',
  mm_vision_tower: 'openai/tiny-clip',
  mm_hidden_size: (CONFIG.vision_config as JsonObject).hidden_size,
  mm_projector_type: 'mlp2x_gelu',
  mm_vision_select_layer: CONFIG.vision_feature_layer,
  mm_vision_select_feature: 'patch',
};

/** A folder with nothing but the original's config.json so far. */
function configured(folder: string): string {
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(ORIGINAL_CONFIG));
  return folder;
}

test('a projector alone over a language model, with the tower beside it', async () => {
  using folder = temporaryFolder();
  const { base, projector } = await writeParts(folder.path);
  const model = configured(join(folder.path, 'stage-1'));
  await writeTorch(join(model, 'mm_projector.bin'), projector);
  expect(await answer(model, { modelBase: base }, 16)).toEqual(wholeGreedy.slice(0, 16));
});

test('a delta over its base; a base of another size is refused in one line', async () => {
  using folder = temporaryFolder();
  const { base, language, projector } = await writeParts(folder.path);
  const target = join(folder.path, 'target');
  await saveWeights(target, [...language, ...projector]);
  const moved = Array.from(openWeights(base).entries.values(), entry => {
    const { shape, data } = readTensor(entry);
    return tensorSource(
      entry.name,
      hostTensor(
        'f32',
        shape,
        (data as Float32Array).map((value, i) => value + (i % 3) / 8),
      ),
    );
  });
  await saveWeights(base, moved);
  const model = configured(join(folder.path, 'delta'));
  await saveStore(model, makeDelta(openWeights(target), openWeights(base)));
  expect(await answer(model, { modelBase: base }, 16)).toEqual(wholeGreedy.slice(0, 16));
  const other = join(GOLDEN, 'torch/lora/base');
  await expect(loadModel(model, { modelBase: other })).rejects.toThrow(/^\S*delta: expected the weights of the base /);
});

async function saveStore(folder: string, store: WeightStore): Promise<void> {
  await saveWeights(
    folder,
    Array.from(store.entries.values(), entry => entrySource(entry)),
  );
}

test('a quantised copy of an adapted model has the base in it', async () => {
  using folder = temporaryFolder();
  const { quantizeModel } = await import('../../../src/engine/quantize/index.ts');
  const copy = join(folder.path, 'copy');
  const quantization = { format: 'w8a16', exceptions: [] } as const;
  await quantizeModel(ADAPTER, copy, { quantization, calibration: false, files: { modelBase: WHOLE } });
  expect(existsSync(join(copy, 'tokenizer.json'))).toBe(true);
  expect(JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8')).model_type).toBe('llava');
  expect(await answer(copy, {}, 1)).toEqual(greedyOf(join(ADAPTER, 'golden.json')).slice(0, 1));
});
