/** @file LLaVA-OneVision on single pictures against transformers: SigLIP, Qwen2, grids of tiles that are scaled down. */

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../../../src/engine/index.ts';
import { parseModelConfig } from '../../../src/models/index.ts';
import { checkNextCase, openAnyResolution } from './next-golden.ts';
import { temporaryFolder } from './tiny-model.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/models/llava-onevision');

test.each(['small', 'tall', 'reduced'])('%s', async name => {
  using folder = temporaryFolder();
  cpSync(GOLDEN, folder.path, { recursive: true });
  const tokenizer = { model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };
  writeFileSync(join(folder.path, 'tokenizer.json'), JSON.stringify(tokenizer));
  using model = await loadModel(folder.path, { threads: 1 });
  await checkNextCase(model, name, openAnyResolution(GOLDEN));
});

test('a file that says little is that of the published models', () => {
  const json = { model_type: 'llava_onevision', vision_config: { image_size: 384, patch_size: 14 }, text_config: {} };
  const config = parseModelConfig(json, 'x');
  expect(config).toMatchObject({
    vision: { modelType: 'siglip_vision_model' },
    language: { modelType: 'qwen2' },
    visionFeatureLayers: [-1],
    imageTokenId: 151646,
    anyres: { maxTiles: 9 },
  });
  const pinpoints = config.modelType === 'llava' ? (config.anyres?.pinpoints ?? []) : [];
  expect([pinpoints.length, pinpoints[0], pinpoints[1], pinpoints[35]]).toEqual([
    36,
    [384, 384],
    [384, 768],
    [2304, 2304],
  ]);
});

test("an original's SigLIP gives all of its last but one block, whatever the file says", () => {
  const json = {
    model_type: 'llava_qwen',
    mm_vision_tower: 'google/siglip-so400m-patch14-384',
    mm_projector_type: 'mlp2x_gelu',
    mm_vision_select_layer: -2,
    mm_vision_select_feature: 'patch',
    image_aspect_ratio: 'anyres_max_9',
    image_grid_pinpoints: '(1x1),...,(6x6)',
    mm_patch_merge_type: 'spatial_unpad',
    hidden_size: 896,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    tie_word_embeddings: true,
  };
  for (const layer of [-2, -1, -5]) {
    expect(parseModelConfig({ ...json, mm_vision_select_layer: layer }, 'x')).toMatchObject({
      vision: { modelType: 'siglip_vision_model', numHiddenLayers: 27, hiddenSize: 1152 },
      language: { modelType: 'qwen2', headDim: 64, tieWordEmbeddings: true },
      visionFeatureLayers: [-2],
      visionFeatureSelect: 'patch',
      anyres: { maxTiles: 9 },
    });
  }
});
