/**
 * @file The multimodal keys of the published original checkpoints, generation by generation: what is said, what is left out,
 * and what that means. The language model's keys are shortened.
 */

import { expect, test } from 'vitest';
import { imageLayout, type JsonObject, type LlavaConfig, parseModelConfig } from '../../../src/models/index.ts';

const CLIP_224 = 'openai/clip-vit-large-patch14';
const CLIP_336 = 'openai/clip-vit-large-patch14-336';
const PINPOINTS = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];
const MLP = { mm_projector_type: 'mlp2x_gelu', mm_hidden_size: 1024, mm_vision_select_layer: -2 };
const NEXT = {
  ...MLP,
  mm_vision_tower: CLIP_336,
  mm_vision_select_feature: 'patch',
  mm_patch_merge_type: 'spatial_unpad',
  image_aspect_ratio: 'anyres',
  image_grid_pinpoints: PINPOINTS,
  image_crop_resolution: 224,
  image_split_resolution: 224,
};

const MODELS: Record<string, [config: JsonObject, expected: object, tokens: number]> = {
  'v1 delta': [
    {
      model_type: 'llava',
      mm_vision_tower: CLIP_224,
      mm_use_im_start_end: true,
      mm_hidden_size: 1024,
      use_mm_proj: true,
    },
    { projectorType: 'linear', usesImageMarkers: true, squareMode: 'square', visionFeatureSelect: 'patch' },
    256,
  ],
  'v0, before it had a type of its own': [
    { model_type: 'llama', vision_tower: CLIP_224, mm_hidden_size: 1024, mm_vision_select_layer: -2 },
    { modelType: 'llava', projectorType: 'linear', visionFeatureLayers: [-2] },
    256,
  ],
  'v1-0719, 336 px': [
    { model_type: 'llava', mm_vision_tower: CLIP_336, mm_projector_type: 'linear', mm_use_im_patch_token: false },
    { projectorType: 'linear', usesImageMarkers: false, squareMode: 'square' },
    576,
  ],
  'v1.5': [
    { ...MLP, model_type: 'llava', mm_vision_tower: CLIP_336, image_aspect_ratio: 'pad', mm_resampler_type: null },
    { projectorType: 'mlp2x_gelu', squareMode: 'pad', anyres: undefined },
    576,
  ],
  'v1.5, saved by newer code': [
    { ...MLP, model_type: 'llava_llama', mm_vision_tower: CLIP_336, image_aspect_ratio: 'pad' },
    { squareMode: 'pad' },
    576,
  ],
  'v1.6 Vicuna': [{ ...NEXT, model_type: 'llava' }, { merge: { spatial: true, unpad: true, base: true } }, 2340],
  'v1.6 Mistral': [
    { ...NEXT, model_type: 'llava_mistral', rope_theta: 1e6, sliding_window: null },
    { language: { modelType: 'mistral' } },
    2340,
  ],
  'llama3-llava-next-8b': [{ ...NEXT, model_type: 'llava_llama', vocab_size: 128256, rope_theta: 5e5 }, {}, 2340],
  'llava-next-72b': [{ ...NEXT, model_type: 'llava_qwen' }, { language: { modelType: 'qwen2' } }, 2340],
  'LLaVA-Med v1': [
    { model_type: 'llava', mm_vision_tower: CLIP_224, mm_use_im_start_end: true, mm_vision_select_layer: -2 },
    { projectorType: 'linear', usesImageMarkers: true },
    256,
  ],
  // Its pinpoints are there without a use, among leftovers of another model.
  'LLaVA-Med v1.5': [
    {
      ...MLP,
      ...{
        model_type: 'llava_mistral',
        mm_vision_tower: CLIP_336,
        image_aspect_ratio: 'pad',
        mm_patch_merge_type: 'flat',
      },
      ...{ image_grid_pinpoints: PINPOINTS, feature_outs: 'encoder+decoder', img_size: 640, segtok_posembed: 'sincos' },
    },
    { squareMode: 'pad', anyres: undefined, extra: { img_size: 640 } },
    576,
  ],
};

test.each(Object.entries(MODELS))('%s', (_name, [json, expected, tokens]) => {
  const config = parseModelConfig(json, 'config.json') as LlavaConfig;
  expect(config).toMatchObject({ format: 'original', compat: 'original', ...expected });
  expect(imageLayout(config, { width: 640, height: 480 }).tokenCount).toBe(tokens);
});

test('a tower folder moved by its owner is known by its last name', () => {
  const json = { model_type: 'llava', mm_vision_tower: '/data/models/clip-vit-large-patch14-336' };
  expect((parseModelConfig(json, 'config.json') as LlavaConfig).vision.imageSize).toBe(336);
});

test('BiomedCLIP is named as a tower that is not known', () => {
  const name = 'microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224';
  const json = { model_type: 'llava', mm_vision_tower: name };
  expect(() => parseModelConfig(json, 'config.json')).toThrow(`expected the folder of the vision tower ${name}`);
});

test('a language model without a tower is none of ours', () => {
  expect(parseModelConfig({ model_type: 'llama' }, 'config.json').modelType).toBe('llama');
});
