/** @file Model folders that do not fit: each fault is one line that names the file and all that is wrong. */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostTensor, LlavaError } from '../../../src/core/index.ts';
import { describeModel, Llava, type LoadOptions, loadModel } from '../../../src/engine/index.ts';
import { saveTokenizer, trainBpe } from '../../../src/processor/index.ts';
import { TINY_JSON, temporaryFolder, tinyWeights, writeTinyModel } from './tiny-model.ts';

/** What loading the folder complains of, after `change`. */
async function complaint(
  change: (folder: string) => void | Promise<void>,
  files: Parameters<typeof writeTinyModel>[1] = {},
  options: LoadOptions = {},
): Promise<string> {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path, files);
  await change(folder.path);
  const error = await loadModel(folder.path, { threads: 1, ...options }).then(
    model => model.dispose(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LlavaError);
  const { message } = error as Error;
  expect(message).not.toContain('\n');
  return message.replaceAll(folder.path, 'MODEL');
}

const nothing = () => {};

test('weights: everything missing, unexpected and misshapen is listed at once', async () => {
  const weights = tinyWeights();
  weights.delete('language_model.model.norm.weight');
  weights.delete('multi_modal_projector.linear_2.bias');
  weights.set('language_model.model.layers.7.mlp.up_proj.weight', hostTensor('f32', [2, 2]));
  weights.set('multi_modal_projector.linear_1.bias', hostTensor('f32', [65]));
  const message = await complaint(nothing, { weights });
  expect(message).toMatch(/^checkpoint MODEL: expected the \d+ tensors of the model, got: /);
  expect(message).toContain('missing');
  expect(message).toContain('language_model.model.norm.weight');
  expect(message).toContain('multi_modal_projector.linear_2.bias');
  expect(message).toContain('unexpected language_model.model.layers.7.mlp.up_proj.weight');
  expect(message).toContain('shape of multi_modal_projector.linear_1.bias expected [64], got [65]');
});

test('weights that no rule knows, and integers, are refused', async () => {
  const strange = tinyWeights().set('optimizer.state', hostTensor('f32', [1]));
  expect(await complaint(nothing, { weights: strange })).toMatch(
    /weights of a llava model, each once, got optimizer.state$/,
  );
  const integers = tinyWeights().set('language_model.model.norm.weight', hostTensor('i32', [64]));
  expect(await complaint(nothing, { weights: integers })).toMatch(
    /expected float weights, got .*norm.weight of type i32/,
  );
});

test('weights of the tower that the answer does not need may be there', async () => {
  const norm = 'vision_tower.vision_model.post_layernorm';
  const weights = tinyWeights()
    .set(`${norm}.weight`, hostTensor('f32', [32]))
    .set(`${norm}.bias`, hostTensor('f32', [32]))
    .set('vision_tower.vision_model.encoder.layers.1.layer_norm1.weight', hostTensor('f32', [32]));
  using folder = temporaryFolder();
  await writeTinyModel(folder.path, { weights });
  using model = await loadModel(folder.path, { threads: 1 });
  expect(model.name).toMatch(/^llava-test-/);
});

test.each<[string, (folder: string) => void | Promise<void>, RegExp]>([
  ['no folder', folder => rmSync(folder, { recursive: true }), /^MODEL\/config.json: expected a model's configuration/],
  ['no weights', folder => rmSync(join(folder, 'model.safetensors')), /^MODEL: expected model.safetensors or/],
  ['no tokenizer', folder => rmSync(join(folder, 'tokenizer.json')), /^MODEL: expected a tokenizer/],
  [
    'broken JSON',
    folder => writeFileSync(join(folder, 'config.json'), '{"a": 1,}'),
    /^MODEL\/config.json:1:9: expected/,
  ],
  [
    'no weights inside',
    folder => writeFileSync(join(folder, 'model.safetensors'), 'short'),
    /^MODEL\/model.safetensors: expected/,
  ],
  [
    'a tokenizer larger than the embedding',
    folder =>
      saveTokenizer(
        folder,
        trainBpe(['some more words to learn '.repeat(9)], {
          vocabSize: 330,
          specialTokens: Array.from({ length: 62 }, (_, i) => `<${i}>`),
        }),
      ),
    /^MODEL: expected a tokenizer of at most 320 tokens, the rows of the embedding, got 3\d\d$/,
  ],
  [
    'image settings of another size',
    folder => writeFileSync(join(folder, 'preprocessor_config.json'), '{"crop_size": 224, "size": 224}'),
    /^MODEL\/preprocessor_config.json: expected images of 24 × 24 as in config.json, got 224 × 224$/,
  ],
  [
    'an end token that is none',
    folder => writeFileSync(join(folder, 'generation_config.json'), '{"eos_token_id": "x"}'),
    /^MODEL: expected eos_token_id to be a token id or a list of them, got "x"$/,
  ],
])('%s', async (_what, change, message) => {
  expect(await complaint(change)).toMatch(message);
});

test.each<[object, RegExp]>([
  [{ model_type: 'clip', text_config: {}, vision_config: {} }, /expected a llava or a language model, got clip/],
  [
    { model_type: 'gpt2' },
    /expected one of llava, llava_next, llava_onevision, clip, llama, mistral, qwen2 for model_type, got "gpt2"/,
  ],
  [{ image_aspect_ratio: 'anyres' }, /expected image_grid_pinpoints to be pairs of multiples of 24, .* got nothing/],
  [{ conversation_template: 'v11' }, /^template: expected a known name \(did you mean v1\?\), got v11/],
])('config.json with %j', async (json, message) => {
  expect(await complaint(nothing, { json })).toMatch(message);
});

test.each<[LoadOptions, RegExp]>([
  [{ template: 'vicuna' }, /^template: expected a known name/],
  [{ threads: 0 }, /^option threads: expected an integer of at least 1, got 0/],
  [{ maxPixel: 1 } as LoadOptions, /maxPixel \(did you mean maxPixels\?\)/],
  [{ signal: AbortSignal.abort() }, /aborted/],
])('option %j', async (options, message) => {
  expect(await complaint(nothing, {}, options)).toMatch(message);
});

test('images are made square as the files say', async () => {
  const square = { size: { shortest_edge: 24 }, crop_size: { width: 24, height: 24 } };
  const cases: [object, object | undefined, string][] = [
    [{}, undefined, 'square'],
    [{ image_aspect_ratio: 'pad' }, undefined, 'pad'],
    [{}, { ...square, do_pad: true }, 'pad'],
    [{ image_aspect_ratio: 'square' }, { ...square, do_pad: true }, 'square'],
  ];
  for (const [json, settings, mode] of cases) {
    using folder = temporaryFolder();
    await writeTinyModel(folder.path, { json });
    if (settings) writeFileSync(join(folder.path, 'preprocessor_config.json'), JSON.stringify(settings));
    using model = await loadModel(folder.path, { threads: 1 });
    expect(model.processor.vision!.mode).toBe(mode);
  }
});

test('images beyond the limits of the options are refused', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  await using model = await Llava.load(folder.path, { threads: 1, maxPixels: 100 });
  const image = join(import.meta.dirname, '../../golden/processor-image/files/rgb.jpg');
  await expect(model.ask('what', { image })).rejects.toThrow(/at most 100 pixels \(option maxPixels\)/);
});

test('the tokens that end an answer are those of generation_config.json', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const every = Array.from({ length: 320 }, (_, id) => id);
  writeFileSync(join(folder.path, 'generation_config.json'), JSON.stringify({ eos_token_id: every }));
  await using model = await Llava.load(folder.path, { threads: 1 });
  const { text, finishReason, usage } = await model.answer('what');
  expect([text, finishReason, usage.completionTokens]).toEqual(['', 'stop', 1]);
});

test('tied embeddings need no head', async () => {
  using folder = temporaryFolder();
  const weights = tinyWeights();
  weights.delete('language_model.lm_head.weight');
  const text_config = { ...TINY_JSON.text_config, tie_word_embeddings: true };
  await writeTinyModel(folder.path, { weights, json: { text_config } });
  await using model = await Llava.load(folder.path, { threads: 1 });
  expect(await model.ask('what', { maxTokens: 5 })).not.toBe('');
});

test('describeModel tells the parts, the memory and what would keep it from loading', async () => {
  using folder = temporaryFolder();
  const weights = tinyWeights();
  const count = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  await writeTinyModel(folder.path, { weights });
  const { parts, memory, ...model } = describeModel(folder.path);
  expect(model).toMatchObject({ contextLength: 640, tokensPerImage: 9, template: 'v1', problems: [] });
  expect(parts.map(part => part.name).sort()).toEqual(['language model', 'projector', 'vision tower']);
  expect(parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(count);
  expect(memory).toMatchObject({ weights: 4 * count, cache: 2 * 4 * 2 * 2 * 16 * 640 });
  weights.delete('language_model.model.norm.weight');
  await writeTinyModel(folder.path, { weights });
  rmSync(join(folder.path, 'tokenizer.json'));
  expect(describeModel(folder.path).problems).toEqual([
    expect.stringContaining('expected a tokenizer'),
    expect.stringContaining('missing language_model.model.norm.weight'),
  ]);
});
