/**
 * @file LLaVA-1.6 from file to answer: against transformers, and against the original's rules on Hugging Face's files
 * (`compat`) and on the original's own.
 */

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeModel, Llava, type LlavaModel, type LoadOptions, loadModel } from '../../../src/engine/index.ts';
import { arrangeFeatures, imageLayout, type LlavaConfig, parseModelConfig } from '../../../src/models/index.ts';
import { loadTokenizer } from '../../../src/processor/index.ts';
import { readJson } from '../../../src/weights/index.ts';
import { caseNames, checkNextCase, NEXT_FOLDER, NEXT_GOLDEN, nextTensor } from './next-golden.ts';
import { NEXT_CONFIG, originalName, saveNamed, writeOriginalNext } from './original-folder.ts';
import { relativeError, type TemporaryFolder, temporaryFolder } from './tiny-model.ts';

const LOAD: LoadOptions = { threads: 1 };
const image = join(NEXT_FOLDER, NEXT_GOLDEN.image);

describe.each(['hf', 'original'] as const)('llava_next by the rules of %s', compat => {
  let model: LlavaModel;
  beforeAll(async () => {
    model = await loadModel(NEXT_FOLDER, { ...LOAD, compat });
  });
  afterAll(() => model.dispose());

  test.each(caseNames(compat))('%s', name => checkNextCase(model, name));
});

describe('the original layout', () => {
  let folder: TemporaryFolder;
  beforeAll(async () => {
    folder = temporaryFolder();
    await writeOriginalNext(folder.path);
  });
  afterAll(() => folder[Symbol.dispose]());
  const path = () => join(folder.path, 'llava-v1.6-tiny');

  test('answers by its own rules', async () => {
    using model = await loadModel(path(), LOAD);
    expect(model.config).toMatchObject({ format: 'original', compat: 'original' });
    for (const name of caseNames('original')) await checkNextCase(model, name);
  });

  test('from image file and question to text, chunk by chunk around the image', async () => {
    await using model = await Llava.load(path(), { ...LOAD, template: 'v1' });
    const answer = await model.answer(NEXT_GOLDEN.question, { image, maxTokens: 64 });
    // SentencePiece's own decoding, which treats stray bytes in another way than the golden's tokenizer.json.
    const text = loadTokenizer(path()).decode(NEXT_GOLDEN.cases['original/picture']!.greedy, { skipSpecial: true });
    expect(answer.text).toBe(text.trim());
    expect(answer.usage.imageTokens).toBe(70);
  });

  test('is described', () => {
    const { tokensPerImage, problems, parts } = describeModel(path());
    expect({ tokensPerImage, problems }).toEqual({ tokensPerImage: 88, problems: [] });
    expect(parts.map(part => part.name).sort()).toEqual(['language model', 'projector', 'vision tower']);
  });
});

test('from image file and question to text with transformers', async () => {
  await using model = await Llava.load(NEXT_FOLDER, { ...LOAD, template: 'hf_llava_1_5' });
  const answer = await model.answer(NEXT_GOLDEN.question, { image, maxTokens: 64 });
  expect(answer.text).toBe(NEXT_GOLDEN.cases['hf/picture']!.text.trim());
});

test('a prompt longer than the context says how many tokens it needs, before the tower runs', async () => {
  await using model = await Llava.load(NEXT_FOLDER, LOAD);
  const images = Array.from({ length: 6 }, () => ({ width: 64, height: 64, data: new Uint8Array(3 * 64 * 64) }));
  await expect(model.ask('what', { images })).rejects.toThrow(
    /expected at most 512 tokens, the model's context, got \d+ \(528 of them for images\)/,
  );
});

describe('weights in every layout', () => {
  const LAYOUTS: Record<string, (name: string) => string> = {
    'transformers ≥ 4.52': name => {
      if (name === 'image_newline' || /^(vision_tower|multi_modal)/.test(name)) return `model.${name}`;
      return name
        .replace('language_model.model.', 'model.language_model.')
        .replace('language_model.lm_head', 'lm_head');
    },
    original: originalName,
  };
  test.each(Object.entries(LAYOUTS))('%s', async (_layout, rename) => {
    using folder = temporaryFolder();
    await saveNamed(folder.path, rename);
    for (const file of ['config.json', 'tokenizer.json', 'preprocessor_config.json']) {
      copyFileSync(join(NEXT_FOLDER, file), join(folder.path, file));
    }
    using model = await loadModel(folder.path, LOAD);
    await checkNextCase(model, 'hf/small');
  });
});

describe('merge types', () => {
  const merges = Object.keys(NEXT_GOLDEN.cases).filter(name => name.startsWith('merge/'));
  test.each(merges)('%s', async name => {
    const { aspect } = NEXT_GOLDEN.cases[name] as unknown as { aspect: string };
    const keys = { image_aspect_ratio: aspect, mm_patch_merge_type: name.slice('merge/'.length) };
    const tower = (readJson(join(NEXT_FOLDER, 'config.json')) as { vision_config: object }).vision_config;
    const config = parseModelConfig({ ...NEXT_CONFIG, ...keys }, 'config.json', { ...tower }) as LlavaConfig;
    const layout = imageLayout(config, { width: 70, height: 60 });
    // The same picture by transformers: base and tiles in the same order, the newline behind the first row.
    const features = nextTensor('hf/square.projected').data as Float32Array;
    const newline = nextTensor('hf/square.merged_embeds').data as Float32Array;
    const at = 4 + 16 + 8; // four tokens, the base image, the first row
    const rows = arrangeFeatures(layout, features, 32, newline.subarray(at * 32, (at + 1) * 32));
    expect(layout.tokenCount).toBe(rows.length / 32);
    expect(relativeError(rows, nextTensor(`${name}.rows`).data as Float32Array)).toBeLessThan(1e-5);
  });
});

test.each<[object, RegExp]>([
  [{ image_aspect_ratio: 'highres' }, /expected image_aspect_ratio square, pad, anyres or anyres_max_N, got highres/],
  [{ mm_patch_merge_type: 'diagonal' }, /expected mm_patch_merge_type flat or spatial/],
  [{ image_grid_pinpoints: [[32, 33]] }, /expected image_grid_pinpoints to be pairs of multiples of 32/],
  [{ image_grid_pinpoints: [[32, 32 * 257]] }, /at most 256 tiles each/],
  [{ image_grid_pinpoints: '(1x1),...,(999999x999999)' }, /expected image_grid_pinpoints/],
  [{ image_grid_pinpoints: null }, /got nothing/],
  [{ mm_vision_select_feature: 'cls_patch' }, /expected patch features without the class token/],
  [{ mm_vision_tower: 'someone/unknown-tower' }, /expected the folder of the vision tower someone\/unknown-tower/],
])('a configuration with %j', async (json, message) => {
  using folder = temporaryFolder();
  await writeOriginalNext(folder.path);
  const file = join(folder.path, 'llava-v1.6-tiny', 'config.json');
  writeFileSync(file, JSON.stringify({ ...NEXT_CONFIG, ...json }));
  await expect(loadModel(join(folder.path, 'llava-v1.6-tiny'), LOAD)).rejects.toThrow(message);
});
