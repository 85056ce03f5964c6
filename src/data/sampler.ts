/**
 * @file LLaVA's `group_by_modality_length`: an order of samples in which each batch holds images only or text only, of
 * like length, so that little is spent on padding (llava_trainer.py).
 */

import type { Rng } from '../core/index.ts';
import type { SampleDescription } from './sample.ts';

/** Batches that samples are grouped for. An update's samples are a block of `batchSize` × `microBatches`. */
export interface GroupOptions {
  /** Samples of a micro-batch. */
  readonly batchSize: number;
  /** Micro-batches of an update: accumulation × devices. */
  readonly microBatches: number;
}

/**
 * A random order of `samples`, as indices. Each block is of one modality but the last; its micro-batches are about
 * equally long. The last is what is left of both, at most two blocks, by index.
 */
export function groupByModalityLength(
  samples: readonly SampleDescription[],
  options: GroupOptions,
  rng: Rng,
): readonly number[] {
  const of = (modality: SampleDescription['modality']): number[] =>
    [...samples.keys()].filter(i => samples[i]!.modality === modality);
  const group = (indices: number[]): number[] => groupByLength(indices, i => samples[i]!.words, options, rng);
  const [images, texts] = [group(of('image')), group(of('text'))];
  if (images.length === 0 || texts.length === 0) return [...images, ...texts];
  const size = options.batchSize * options.microBatches;
  const [imageBlocks, textBlocks] = [chunk(images, size), chunk(texts, size)];
  const last = [...imageBlocks.pop()!, ...textBlocks.pop()!].sort((a, b) => a - b);
  return [...rng.shuffle([...imageBlocks, ...textBlocks]), last].flat();
}

/** Random blocks; in each, the longest samples first, dealt to micro-batches of about equal total length. */
function groupByLength(indices: number[], length: (index: number) => number, options: GroupOptions, rng: Rng) {
  const blocks = chunk(rng.shuffle(indices), options.batchSize * options.microBatches);
  return blocks.flatMap(block => {
    const sorted = block.sort((a, b) => length(b) - length(a));
    return dealByLength(sorted, length, options.microBatches).flat();
  });
}

/** Each item goes to the hand with the least total length that is not full; uneven blocks are dealt in turn. */
function dealByLength(items: readonly number[], length: (index: number) => number, count: number): number[][] {
  const hands: number[][] = Array.from({ length: count }, () => []);
  const totals = hands.map(() => 0);
  const full = items.length / count;
  for (const [i, item] of items.entries()) {
    const hand = Number.isInteger(full) ? totals.indexOf(Math.min(...totals)) : i % count;
    hands[hand]!.push(item);
    totals[hand] = hands[hand]!.length === full ? Number.POSITIVE_INFINITY : totals[hand]! + length(item);
  }
  return hands;
}

function chunk(indices: readonly number[], size: number): number[][] {
  const count = Math.ceil(indices.length / size);
  return Array.from({ length: count }, (_, i) => indices.slice(i * size, (i + 1) * size));
}
