/**
 * @file From logits to a token. The filters and their order are those of `transformers` (generation/logits_process.py):
 * repetition penalty, temperature, top-k, top-p, min-p; then one draw from the softmax of what is left. No filter sorts
 * the vocabulary: each takes only as many tokens off a heap as it needs.
 */

import { LlavaError, Rng, rejectUnknownKeys } from '../core/index.ts';

/** How the next token is chosen. */
export interface SamplingOptions {
  /** Divides the logits. 0, the default, always takes the likeliest token. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens, and those as likely as the last of them. Default 0: all. */
  readonly topK?: number;
  /** Keep the smallest set of likeliest tokens whose probabilities reach this sum. Default 1: all. */
  readonly topP?: number;
  /** Keep tokens at least this fraction as likely as the likeliest. Default 0: all. */
  readonly minP?: number;
  /** Above 1, makes tokens that have occurred, in the prompt too, less likely. Default 1: none. */
  readonly repetitionPenalty?: number;
  /** Seed of the draws; the same seed gives the same answer. Default: a random one. */
  readonly seed?: number;
}

const RULES: { readonly [K in keyof Required<SamplingOptions>]: readonly [(value: number) => boolean, string] } = {
  temperature: [value => value >= 0, 'a number of at least 0'],
  topK: [value => Number.isInteger(value) && value >= 0, 'an integer of at least 0'],
  topP: [value => value > 0 && value <= 1, 'a number above 0 and at most 1'],
  minP: [value => value >= 0 && value <= 1, 'a number from 0 to 1'],
  repetitionPenalty: [value => value > 0, 'a number above 0'],
  seed: [Number.isInteger, 'an integer'],
};

/** Names of all sampling options. */
export const SAMPLING_OPTIONS = Object.keys(RULES) as readonly (keyof SamplingOptions)[];

/** Throws a {@link LlavaError} that names the first option with a value out of range. */
export function checkSamplingOptions(options: SamplingOptions): void {
  for (const name of SAMPLING_OPTIONS) {
    const value = options[name];
    const [fits, expected] = RULES[name];
    const valid = value === undefined || (Number.isFinite(value) && fits(value));
    if (!valid) throw new LlavaError(`option ${name}: expected ${expected}, got ${value}`);
  }
}

/** Chooses tokens; holds the state of the random draws. */
export class Sampler {
  readonly #options: Required<Omit<SamplingOptions, 'seed'>>;
  readonly #rng: Rng;

  /** Throws {@link LlavaError} on an unknown option or a value out of range. */
  constructor(options: SamplingOptions = {}) {
    rejectUnknownKeys('sampling', options, SAMPLING_OPTIONS);
    checkSamplingOptions(options);
    const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
    this.#options = { temperature, topK, topP, minP, repetitionPenalty };
    this.#rng = new Rng(options.seed ?? Math.floor(Math.random() * 2 ** 32));
  }

  /**
   * The next token's id.
   * @param logits [vocabulary]; changed in place
   * @param seen ids that the sequence holds already, for the repetition penalty
   */
  sample(logits: Float32Array, seen: Iterable<number> = []): number {
    const { temperature, topK, topP, minP, repetitionPenalty } = this.#options;
    if (repetitionPenalty !== 1) penalize(logits, seen, repetitionPenalty);
    const likeliest = argmax(logits);
    if (temperature === 0) return likeliest;
    scale(logits, logits[likeliest]!, temperature);
    let kept: Iterable<number> = logits.keys();
    if (topK > 0 && topK < logits.length) kept = keepTopK(logits, topK);
    if (topP < 1) kept = keepTopP(logits, kept, topP);
    if (minP > 0) kept = keepMinP(logits, kept, minP);
    return this.#draw(logits, [...kept]);
  }

  /** One of `ids` with probability proportional to exp(logit). */
  #draw(logits: Float32Array, ids: readonly number[]): number {
    const weights = ids.map(id => Math.exp(logits[id]!));
    let rest = this.#rng.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
    const chosen = weights.findIndex(weight => {
      rest -= weight;
      return rest < 0;
    });
    return ids.at(chosen)!; // rounding can leave a rest after the last one: −1 is the last one
  }
}

/** Shifts the largest logit to 0 and divides by the temperature: exp cannot overflow, however low the temperature. */
function scale(logits: Float32Array, max: number, temperature: number): void {
  for (let id = 0; id < logits.length; id++) logits[id] = (logits[id]! - max) / temperature;
}

/** Logits of ids that were seen: divided by the penalty when positive, multiplied when negative (Keskar et al. 2019). */
function penalize(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  for (const id of new Set(seen)) {
    const logit = logits[id];
    if (logit !== undefined) logits[id] = logit < 0 ? logit * penalty : logit / penalty;
  }
}

/** Index of the largest logit, the first of equal ones. */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > max) [best, max] = [id, logits[id]!];
  }
  if (best < 0) throw new LlavaError('model: expected finite logits, got none (are the weights damaged?)');
  return best;
}

/** Ids whose logit is not below the k-th largest. */
function keepTopK(logits: Float32Array, k: number): number[] {
  const smallest = logits.slice(0, k).sort();
  for (let id = k; id < logits.length; id++) {
    if (logits[id]! > smallest[0]!) replaceSmallest(smallest, logits[id]!);
  }
  const kept: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id]! >= smallest[0]!) kept.push(id);
  return kept;
}

/** Replaces the root of a min-heap and sifts it down. */
function replaceSmallest(heap: Float32Array, value: number): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (child >= heap.length || heap[child]! >= value) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = value;
}

/** Ids in falling order of logit until their probabilities sum to `mass`; at least one. */
function keepTopP(logits: Float32Array, ids: Iterable<number>, mass: number): number[] {
  const heap = new LargestFirst(logits, ids);
  let total = 0;
  for (const id of heap.ids) total += Math.exp(logits[id]!);
  const kept: number[] = [];
  for (let sum = 0; sum < mass * total && heap.size > 0; ) {
    const id = heap.pop();
    kept.push(id);
    sum += Math.exp(logits[id]!);
  }
  return kept;
}

/** Ids at least `minP` times as likely as the likeliest, whose logit is 0. */
function keepMinP(logits: Float32Array, ids: Iterable<number>, minP: number): number[] {
  return [...ids].filter(id => logits[id]! >= Math.log(minP));
}

/** Max-heap of ids by logit, larger ids first among equals (the end of a stable ascending sort). */
class LargestFirst {
  readonly #logits: Float32Array;
  readonly #heap: Int32Array;
  #size: number;

  constructor(logits: Float32Array, ids: Iterable<number>) {
    this.#logits = logits;
    this.#heap = Int32Array.from(ids);
    this.#size = this.#heap.length;
    for (let i = (this.#size >> 1) - 1; i >= 0; i--) this.#siftDown(i);
  }

  get size(): number {
    return this.#size;
  }

  get ids(): Int32Array {
    return this.#heap.subarray(0, this.#size);
  }

  pop(): number {
    const top = this.#heap[0]!;
    this.#heap[0] = this.#heap[--this.#size]!;
    this.#siftDown(0);
    return top;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#logits[a]! - this.#logits[b]!;
    return difference > 0 || (difference === 0 && a > b);
  }

  #siftDown(start: number): void {
    const heap = this.#heap;
    const id = heap[start]!;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child + 1 < this.#size && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (child >= this.#size || this.#before(id, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = id;
  }
}
