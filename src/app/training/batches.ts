/** @file The batches of each kind of stage, as functions of the step. */

import {
  buildExample,
  collate,
  collateClip,
  type ImageRows,
  type Sample,
  SampleOrder,
  textExample,
  type WeightedSource,
} from '../../data/index.ts';
import type { RgbImage } from '../../processor/index.ts';
import { getTemplate, type Tokenizer } from '../../processor/index.ts';
import type { BatchFeeds, Stage, StepBatches } from '../../train/index.ts';

/** What samples need to become tensors. */
export interface BatchContext {
  readonly tokenizer: Tokenizer;
  readonly preprocess: (image: RgbImage) => Float32Array;
  readonly imageSize: number;
  readonly imageRows: (image: RgbImage) => ImageRows;
}

type MicroBatch = Pick<StepBatches, 'tokens' | 'truncated' | 'skipped'> & { readonly feeds: BatchFeeds };
type MakeBatch = (samples: readonly Sample[], stage: Stage, context: BatchContext) => MicroBatch;

const MAKE: { readonly [K in Stage['kind']]: MakeBatch } = {
  clip: clipBatch,
  language: textBatch,
  projector: conversationBatch,
  finetune: conversationBatch,
};

/** Lines of text that share a row of a language batch, so that short lines do not waste it on padding. */
const LINES_PER_ROW = 4;

/** The micro-batches of a step: the next samples of the stage's mixture. */
export function stageBatches(
  stage: Stage,
  sources: readonly WeightedSource[],
  context: BatchContext,
): (step: number) => Promise<StepBatches> {
  const { batchSize, accumulation: microBatches } = stage;
  const grouping = stage.groupByModalityLength ? { groupByModalityLength: { batchSize, microBatches } } : {};
  const order = new SampleOrder(sources, stage.seed, grouping);
  const perBatch = stage.kind === 'language' ? stage.batchSize * LINES_PER_ROW : stage.batchSize;
  return async step => {
    const made: MicroBatch[] = [];
    for (let k = 0; k < stage.accumulation; k++) {
      const samples = await order.samples((step * stage.accumulation + k) * perBatch, perBatch);
      made.push(MAKE[stage.kind](samples, stage, context));
    }
    const sum = (count: 'tokens' | 'truncated' | 'skipped') => made.reduce((all, batch) => all + batch[count], 0);
    const counts = { tokens: sum('tokens'), truncated: sum('truncated'), skipped: sum('skipped') };
    return { microBatches: made.map(batch => batch.feeds), ...counts };
  };
}

/** What the model says of the image: the first answer. */
function caption(sample: Sample): string {
  return sample.conversations.find(turn => turn.from === 'gpt')?.value ?? '';
}

function clipBatch(
  samples: readonly Sample[],
  stage: Stage,
  { tokenizer, preprocess, imageSize }: BatchContext,
): MicroBatch {
  const pairs = samples.map(sample => ({ pixels: preprocess(sample.images[0]!), caption: caption(sample) }));
  return {
    ...collateClip(pairs, { tokenizer, imageSize, maxTokens: stage.maxLength }),
    tokens: pairs.length,
    skipped: 0,
  };
}

function conversationBatch(samples: readonly Sample[], stage: Stage, context: BatchContext): MicroBatch {
  const template = getTemplate(stage.template);
  const options = { ...context, template, maxLength: stage.maxLength };
  return collate(
    samples.map(sample => buildExample(sample, options)),
    context,
  );
}

function textBatch(samples: readonly Sample[], stage: Stage, { tokenizer, imageSize }: BatchContext): MicroBatch {
  const rows = Array.from({ length: stage.batchSize }, (_, row) => {
    const lines = samples.slice(row * LINES_PER_ROW, (row + 1) * LINES_PER_ROW);
    return textExample(lines.map(caption), tokenizer, stage.maxLength);
  });
  return collate(rows, { imageSize });
}
