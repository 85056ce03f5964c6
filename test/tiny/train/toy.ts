/** @file A toy dataset, painted squares and their colours, and a recipe that learns it in seconds. */

import { Rng } from '../../../src/core/index.ts';
import type { Sample, SampleSource } from '../../../src/data/index.ts';
import { type RgbImage, solidImage } from '../../../src/processor/index.ts';
import { parseRecipe, type Recipe } from '../../../src/train/index.ts';

const COLOURS = { red: [220, 30, 30], green: [30, 160, 40], blue: [30, 40, 210], yellow: [230, 220, 40] } as const;
const SIDE = 16;

/** A square of a colour, with some noise. */
export function square(colour: keyof typeof COLOURS, rng: Rng): RgbImage {
  const [red, green, blue] = COLOURS[colour].map(c => c + rng.int(20) - 10) as [number, number, number];
  return solidImage(SIDE, SIDE, [red, green, blue]);
}

/** An endless stream of squares; `task` as in the recipes. */
export function squares(task: string): SampleSource {
  return { name: `squares-${task}`, length: Number.POSITIVE_INFINITY, sample: index => sample(task, index) };
}

function sample(task: string, index: number): Sample {
  const rng = new Rng(index);
  const colour = rng.pick(Object.keys(COLOURS) as (keyof typeof COLOURS)[]);
  const [question, answer] =
    task === 'ask' ? ['<image>\nWhat colour is it?', colour] : ['<image>', `a ${colour} square`];
  return {
    id: `${task}-${index}`,
    images: task === 'text' ? [] : [square(colour, rng)],
    conversations: [
      { from: 'human', value: task === 'text' ? '' : question },
      { from: 'gpt', value: answer },
    ],
  };
}

const tower = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2 };
const optimizer = { learningRate: 0.005, warmupRatio: 0.1, saveEvery: 5, maxLength: 64 };
const data = (task: string) => [{ source: 'squares', options: { task } }];

/** Four stages on the toy dataset. */
export function toyRecipe(steps = { clip: 12, language: 12, stage1: 10, stage2: 60 }): Recipe {
  return parseRecipe(
    {
      name: 'toy',
      tokenizer: { vocabSize: 300, lines: 50, data: data('caption')[0] },
      stages: [
        {
          ...{ name: 'clip', kind: 'clip', data: data('caption'), steps: steps.clip, batchSize: 8, ...optimizer },
          model: {
            model_type: 'clip',
            projection_dim: 16,
            vision_config: { ...tower, image_size: SIDE, patch_size: 8 },
            text_config: { ...tower, max_position_embeddings: 32 },
          },
          maxLength: 24,
        },
        {
          ...{
            name: 'language',
            kind: 'language',
            data: data('text'),
            steps: steps.language,
            batchSize: 4,
            ...optimizer,
          },
          model: { model_type: 'llama', ...tower, max_position_embeddings: 256 },
        },
        {
          ...{
            name: 'stage1',
            kind: 'projector',
            data: data('caption'),
            steps: steps.stage1,
            batchSize: 8,
            ...optimizer,
          },
          init: { vision: 'clip', language: 'language' },
          model: { model_type: 'llava' },
          template: 'plain',
        },
        {
          ...{ name: 'stage2', kind: 'finetune', data: data('ask'), steps: steps.stage2, batchSize: 8, ...optimizer },
          init: { all: 'stage1' },
          accumulation: 2,
          maxLength: 200,
        },
      ],
    },
    'toy.json',
  );
}
