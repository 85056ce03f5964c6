/** @file What a model says of each token of a text: the ground of perplexity and of comparing two models. */

import { LlavaError, rejectUnknownKeys } from '../core/index.ts';
import type { LlavaModel } from './model.ts';
import type { Sequence } from './sequence.ts';

/** How a text is read. */
export interface PredictionOptions {
  /** Tokens that are read without forgetting; then the reading begins anew. Default 512, at most the context. */
  readonly window?: number;
  /** Tokens of the text that are read. Default: all. */
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
}

/** A token of a text and the logits that stood before it. */
export interface Prediction {
  readonly id: number;
  /** [vocabulary]; valid until the next prediction is asked for. */
  readonly logits: Float32Array;
}

/** Positions computed in one run: their logits are all in memory. */
const ROWS = 128;

/**
 * Reads a text window by window, each begun as a prompt is. A window's first token has no prediction unless the tokenizer puts
 * one before it.
 * @throws LlavaError when the text has too few tokens for a single prediction
 */
export async function* predictions(
  model: LlavaModel,
  text: string,
  options: PredictionOptions = {},
): AsyncGenerator<Prediction> {
  rejectUnknownKeys('options', options, ['window', 'maxTokens', 'signal']);
  const { tokenizer } = model.processor;
  const begin = tokenizer.encode('');
  const ids = tokenizer.encode(text, { addBos: false }).slice(0, options.maxTokens);
  const window = Math.min(options.window ?? 512, model.language.contextLength) - begin.length;
  if (begin.length + Math.min(window, ids.length) < 2) {
    throw new LlavaError(`text: expected at least ${2 - begin.length} tokens, got ${ids.length}`);
  }
  using sequence = model.sequence(begin.length + Math.min(window, ids.length));
  for (let start = 0; start < ids.length; start += window) {
    const tokens = [...begin, ...ids.slice(start, start + window)];
    sequence.truncate(0);
    let logits = Float32Array.from(await sequence.read({ ids: tokens.slice(0, 1), images: [] }, options.signal));
    const step = sequence.takesSeveral ? ROWS : 1;
    for (let at = 1; at < tokens.length; at += step) {
      const next = tokens.slice(at, at + step);
      const rows = await append(sequence, next, options.signal);
      for (const [i, id] of next.entries()) yield { id, logits: i === 0 ? logits : rows[i - 1]! };
      logits = Float32Array.from(rows.at(-1)!);
    }
  }
}

async function append(sequence: Sequence, ids: readonly number[], signal?: AbortSignal): Promise<Float32Array[]> {
  return sequence.takesSeveral ? sequence.appendAll(ids, signal) : [await sequence.append(ids[0]!, signal)];
}
