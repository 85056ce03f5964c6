/** @file Models of other kinds than CLIP and Llama, trained from nothing: losses fall, and what is saved answers. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runRecipe } from '../../../src/app/training/pipeline.ts';
import { Rng } from '../../../src/core/index.ts';
import { Llava, openModelFolder } from '../../../src/engine/index.ts';
import { parseRecipe, type StepRecord } from '../../../src/train/index.ts';
import { square, squares } from './toy.ts';

const root = mkdtempSync(join(tmpdir(), 'llava-backbones-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sizes = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2 };
const tower = { ...sizes, image_size: 18, patch_size: 8 };
const LANGUAGE = {
  qwen2: { tie_word_embeddings: true, num_key_value_heads: 2, use_sliding_window: true, max_window_layers: 1 },
  mistral: { num_key_value_heads: 1 },
};
const VISION = {
  qwen2: {
    vision_config: { ...tower, model_type: 'siglip_vision_model', vision_use_head: false },
    vision_feature_layer: -1,
    vision_feature_select_strategy: 'full',
  },
  mistral: { vision_config: { ...tower, image_size: 16 }, vision_feature_layer: [-2, -1] },
};

function recipe(type: keyof typeof LANGUAGE) {
  const data = (task: string) => [{ source: 'squares', options: { task } }];
  const common = { steps: 6, batchSize: 4, learningRate: 0.01, maxLength: 64 };
  const text = { ...sizes, ...LANGUAGE[type], sliding_window: 8, max_position_embeddings: 128 };
  return parseRecipe(
    {
      name: type,
      tokenizer: { vocabSize: 300, lines: 50, data: data('caption')[0] },
      stages: [
        { ...common, name: 'language', kind: 'language', data: data('text'), model: { model_type: type, ...text } },
        {
          ...{
            ...common,
            name: 'whole',
            kind: 'finetune',
            data: data('caption'),
            trainVision: true,
            template: 'plain',
          },
          init: { language: 'language' },
          model: { model_type: 'llava', ...VISION[type] },
        },
      ],
    },
    `${type}.json`,
  );
}

test.each(['qwen2', 'mistral'] as const)('%s', async type => {
  const output = join(root, type);
  const openSources = async () => [{ source: squares('caption'), weight: 1 }];
  const folder = await runRecipe(recipe(type), { output, openSources, threads: 1 });
  for (const stage of ['language', 'whole']) {
    const lines = readFileSync(join(output, `${stage}.jsonl`), 'utf8')
      .trim()
      .split('\n');
    const losses = lines.map(line => (JSON.parse(line) as StepRecord).loss);
    expect(losses.at(-1)!, stage).toBeLessThan(losses[0]!);
  }
  const { config, language, weights } = openModelFolder(folder);
  expect(language.modelType).toBe(type);
  expect(weights.has('vision_tower.vision_model.post_layernorm.weight')).toBe(true);
  expect(weights.has('vision_tower.vision_model.pre_layrnorm.weight')).toBe(type === 'mistral');
  expect(weights.has('language_model.lm_head.weight')).toBe(type === 'mistral');
  expect(config).toMatchObject({ visionFeatureLayers: type === 'qwen2' ? [-1] : [-2, -1] });
  using model = await Llava.load(folder, { threads: 1 });
  expect(typeof (await model.ask('', { image: square('red', new Rng(1)), maxTokens: 4 }))).toBe('string');
});
