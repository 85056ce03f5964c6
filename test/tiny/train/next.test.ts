/** @file Training a LLaVA-1.6 on pictures of different sizes: one step against PyTorch, everything trained; a few steps learn. */

import { describe, expect, test } from 'vitest';
import { runRecipe } from '../../../src/app/training/pipeline.ts';
import type { HostTensor } from '../../../src/core/index.ts';
import { collate, type Example, IMAGE_TOKEN_INDEX, type Sample, type Turn } from '../../../src/data/index.ts';
import { Llava } from '../../../src/engine/index.ts';
import { featureRows, imageLayout, type LlavaConfig, parseModelConfig } from '../../../src/models/index.ts';
import { parseImageSettings, preprocessTiles, solidImage } from '../../../src/processor/index.ts';
import { createTrainer, isTrained, llavaObjective, parseRecipe } from '../../../src/train/index.ts';
import { readJson } from '../../../src/weights/index.ts';
import { NEXT_FOLDER, NEXT_GOLDEN, nextGradients, nextTensor } from '../engine/next-golden.ts';
import { writeOriginalNext } from '../engine/original-folder.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';
import { readWeights, relativeError } from '../models/goldens.ts';
import { noiseImage } from '../processor-image/support.ts';
import { lossAndGradients } from './gradients.ts';

const config = parseModelConfig(readJson(`${NEXT_FOLDER}/config.json`), 'config.json') as LlavaConfig;
const settings = parseImageSettings(readJson(`${NEXT_FOLDER}/preprocessor_config.json`), 'preprocessor_config.json');

/** The golden's examples: 8 and 5 tokens are trained, pictures of 3 and 4 tiles. */
function examples(): Example[] {
  const { ids, images } = NEXT_GOLDEN.training;
  return ids.map((row, i) => {
    const [width, height] = images[i]!;
    const layout = imageLayout(config, { width, height });
    const { data } = preprocessTiles(noiseImage(width, height, 0), layout, settings, 'square');
    const trained = [8, 5][i]!;
    return {
      id: `${i}`,
      ids: row.map(id => (id === config.imageTokenId ? IMAGE_TOKEN_INDEX : id)),
      trained: row.map((_, t) => t >= row.length - trained),
      images: [
        {
          pixels: data as Float32Array,
          rows: featureRows(layout)!,
          featureRows: layout.tiles * layout.featuresPerTile,
        },
      ],
      truncated: false,
    };
  });
}

const { feeds } = collate(examples(), { imageSize: config.vision.imageSize });
const weights: ReadonlyMap<string, HostTensor> = readWeights(NEXT_FOLDER);

describe('a batch of two sizes', () => {
  test('loss and gradients, tower and newline among them', async () => {
    expect(feeds.pixels.shape[0]).toBe(7);
    const results = await lossAndGradients(llavaObjective(config), nextGradients, weights, feeds);
    const { loss } = NEXT_GOLDEN.training;
    expect(Math.abs(Number(results.loss!.data[0]) - loss) / loss).toBeLessThan(1e-5);
    expect(nextGradients).toContain('image_newline');
    for (const name of nextGradients) {
      expect(relativeError(results[`grad.${name}`]!, nextTensor(`grad.${name}`)), name).toBeLessThan(1e-4);
    }
  });

  test('a few steps with the tower trained lower the loss and move the newline', async () => {
    const objective = llavaObjective(config);
    const names = [...objective.params.keys()].filter(name => isTrained('finetune', name, true));
    using trainer = await createTrainer({
      objective,
      trained: names.map(name => ({
        name,
        shape: objective.params.get(name)!.shape as number[],
        weightDecay: 0,
        lrScale: 1,
      })),
      initial: name => weights.get(name)!,
      optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 },
    });
    const losses: number[] = [];
    for (let step = 0; step < 8; step++) losses.push((await trainer.step([feeds], 1e-2)).loss);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
    for (const name of ['image_newline', 'vision_tower.vision_model.embeddings.patch_embedding.weight']) {
      expect(relativeError(trainer.read(name), weights.get(name)!), name).toBeGreaterThan(1e-3);
    }
  });
});

test('the newline and the tower are frozen where they should be', () => {
  expect(isTrained('projector', 'image_newline')).toBe(false);
  expect(isTrained('finetune', 'image_newline')).toBe(true);
  expect(isTrained('finetune', 'vision_tower.vision_model.embeddings.class_embedding')).toBe(false);
});

describe('a recipe', () => {
  /** Wide and high pictures of one colour, and its name. */
  const sample = (index: number): Sample => {
    const isWide = index % 2 === 0;
    const image = isWide ? solidImage(40, 14, [200, 20, 20]) : solidImage(14, 40, [20, 20, 200]);
    const conversations: Turn[] = [
      { from: 'human', value: '<image>\nwhat colour' },
      { from: 'gpt', value: isWide ? 'red' : 'blue' },
    ];
    return { id: `${index}`, images: [image], conversations };
  };
  const source = { name: 'colours', length: Number.POSITIVE_INFINITY, sample };
  const tower = { hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2 };
  const data = [{ source: 'colours' }];
  const recipeWith = (options: object) =>
    parseRecipe(
      {
        name: 'next',
        tokenizer: { vocabSize: 280, lines: 10, data: data[0] },
        stages: [
          {
            ...{ name: 'next', kind: 'finetune', template: 'v1', data, steps: 2, batchSize: 2 },
            ...{ learningRate: 0.001, maxLength: 400, ...options },
          },
        ],
      },
      'test',
    );
  const openSources = async () => [{ source, weight: 1 }];
  const wide = solidImage(40, 14, [200, 20, 20]);

  test('writes a llava_next folder that answers', async () => {
    using output = temporaryFolder();
    const model_type = 'llava_next';
    const image_grid_pinpoints = [
      [16, 32],
      [32, 16],
    ];
    const vision_config = { ...tower, image_size: 16, patch_size: 8 };
    const text_config = { model_type: 'llama', ...tower, max_position_embeddings: 512 };
    const model = { model_type, image_grid_pinpoints, vision_config, text_config };
    const recipe = recipeWith({ model, trainVision: true });
    const folder = await runRecipe(recipe, { output: output.path, openSources });
    expect(readJson(`${folder}/config.json`)).toMatchObject({ architectures: ['LlavaNextForConditionalGeneration'] });
    expect(readJson(`${folder}/preprocessor_config.json`)).toMatchObject({
      image_processor_type: 'LlavaNextImageProcessor',
      image_grid_pinpoints,
    });
    await using llava = await Llava.load(folder, { threads: 1 });
    const { usage } = await llava.answer('what colour', { image: wide, maxTokens: 2 });
    expect(usage.imageTokens).toBe(4 + 2 * (4 + 1));
  });

  test('goes on from an original folder, with the tower that it has', async () => {
    using folder = temporaryFolder();
    await writeOriginalNext(folder.path);
    const recipe = recipeWith({ init: { all: `${folder.path}/llava-v1.6-tiny` } });
    const trained = await runRecipe(recipe, { output: `${folder.path}/trained`, openSources });
    const now = readWeights(trained);
    for (const [name, before] of weights) {
      const isUsed = !/layers\.2\.|post_layernorm/.test(name) || name.startsWith('language_model.');
      if (name.startsWith('vision_tower.') && isUsed) expect(now.get(name)!.data, name).toEqual(before.data);
    }
    expect(relativeError(now.get('image_newline')!, weights.get('image_newline')!)).toBeGreaterThan(1e-6);
    await using llava = await Llava.load(trained, { threads: 1 });
    expect((await llava.answer('what colour', { image: wide, maxTokens: 2 })).usage.imageTokens).toBeGreaterThan(16);
  });
});
