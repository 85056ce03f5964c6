/**
 * @file A model beside its original: how much worse it foretells a text, how far its predictions are from the original's, and
 * which questions it answers otherwise. One model is in memory at a time: the original's predictions wait in a file.
 */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Llava } from '../engine/index.ts';
import type { RgbImage } from '../processor/index.ts';
import { divergence, indexOfLargest, surprise } from './perplexity.ts';

/** A question that both models are asked. */
export interface ComparedQuestion {
  readonly question: string;
  readonly images: readonly (RgbImage | string)[];
}

/** What is compared. */
export interface CompareOptions {
  /** Opens the original, then the other. */
  readonly load: readonly [original: () => Promise<Llava>, other: () => Promise<Llava>];
  readonly text: string;
  /** Tokens of the text that are read, at most. */
  readonly maxTokens: number;
  readonly questions: readonly ComparedQuestion[];
  /** Tokens read and questions asked so far, by both models together. */
  readonly onStep?: () => void;
  readonly signal?: AbortSignal;
}

/** How far a model is from its original. */
export interface Comparison {
  /** Tokens that were foretold. */
  readonly tokens: number;
  /** e to the mean surprise at a token. */
  readonly perplexity: { readonly original: number; readonly other: number };
  /** Mean Kullback-Leibler divergence of the other's predictions from the original's, nats. */
  readonly divergence: number;
  /** Part of the tokens whose likeliest guess is the same. */
  readonly sameGuess: number;
  /** Questions asked, and those answered otherwise. */
  readonly asked: number;
  readonly changed: readonly { readonly question: string; readonly original: string; readonly other: string }[];
}

/** Longest answer, tokens. */
const MAX_ANSWER = 24;

/** Compares two models of one tokenizer. */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), 'llava-compare-'));
  const file = await open(join(folder, 'logits'), 'w+');
  try {
    const [loadOriginal, loadOther] = options.load;
    const original = new Sums();
    const before = await readModel(loadOriginal, options, async (logits, id) => {
      original.add(logits, id);
      await file.write(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    });
    const other = new Sums();
    let reference = new Float32Array();
    const after = await readModel(loadOther, options, async (logits, id) => {
      if (reference.length !== logits.length) reference = new Float32Array(logits.length);
      const bytes = new Uint8Array(reference.buffer);
      await file.read(bytes, 0, bytes.length, other.tokens * bytes.length);
      other.add(logits, id, reference);
    });
    return comparison(options.questions, [original, before], [other, after]);
  } finally {
    await file.close();
    await rm(folder, { recursive: true, force: true });
  }
}

class Sums {
  tokens = 0;
  surprise = 0;
  divergence = 0;
  same = 0;

  add(logits: Float32Array, id: number, reference = logits): void {
    this.tokens++;
    this.surprise += surprise(logits, id);
    if (reference === logits) return;
    this.divergence += divergence(reference, logits);
    if (indexOfLargest(reference) === indexOfLargest(logits)) this.same++;
  }

  get perplexity(): number {
    return Math.exp(this.surprise / this.tokens);
  }
}

type Read = readonly [sums: Sums, answers: readonly string[]];

function comparison(
  questions: readonly ComparedQuestion[],
  [original, before]: Read,
  [other, after]: Read,
): Comparison {
  const rows = questions.map(({ question }, i) => ({ question, original: before[i]!, other: after[i]! }));
  return {
    tokens: other.tokens,
    perplexity: { original: original.perplexity, other: other.perplexity },
    divergence: other.divergence / other.tokens,
    sameGuess: other.same / other.tokens,
    asked: rows.length,
    changed: rows.filter(row => row.original !== row.other),
  };
}

/** Reads the text, then asks; the model is freed. */
async function readModel(
  load: () => Promise<Llava>,
  { text, maxTokens, questions, onStep, signal }: CompareOptions,
  take: (logits: Float32Array, id: number) => Promise<void>,
): Promise<string[]> {
  await using model = await load();
  const abort = signal && { signal };
  for await (const { id, logits } of model.predictions(text, { maxTokens, ...abort })) {
    await take(logits, id);
    onStep?.();
  }
  const answers: string[] = [];
  for (const { question, images } of questions) {
    answers.push(await model.ask(question, { images, maxTokens: MAX_ANSWER, ...abort }));
    onStep?.();
  }
  return answers;
}
