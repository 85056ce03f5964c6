/**
 * @file Several tokens a step. By prompt lookup (Saxena 2023): what followed the last words where they stood before, in the
 * prompt or the answer, is guessed to follow them again; else, where there is a draft model, it guesses. The guesses are computed
 * in one run together with the token that is certain; those that the sampler then picks itself cost nothing more. Which tokens
 * come does not depend on the guesses: each is sampled from the model's own logits.
 */

import type { Sequence } from './sequence.ts';

/** Longest run of tokens whose earlier occurrence is looked for, and the shortest. */
const LONGEST_MATCH = 3;
const SHORTEST_MATCH = 2;

/** At most `count` tokens that followed the latest earlier occurrence of the end of `tokens`; none where it has none. */
export function lookUp(tokens: readonly number[], count: number): readonly number[] {
  for (let length = LONGEST_MATCH; length >= SHORTEST_MATCH; length--) {
    const end = tokens.length - length;
    for (let start = end - 1; start >= 0; start--) {
      if (!equalRuns(tokens, start, end, length)) continue;
      return tokens.slice(start + length, start + length + count);
    }
  }
  return [];
}

function equalRuns(tokens: readonly number[], a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (tokens[a + i] !== tokens[b + i]) return false;
  return true;
}

/** Guesses what comes next where nothing recurs. */
export interface Guesser {
  /** At most `count` tokens after `tokens`, of which negative ones are positions of images. */
  guess(tokens: readonly number[], count: number, signal?: AbortSignal): Promise<readonly number[]>;
}

/** A token that was guessed and computed, and the logits after it. */
interface Guess {
  readonly id: number;
  readonly logits: Float32Array;
}

/** Appends tokens to a sequence, computing guesses ahead. {@link settle} must be called when no more come. */
export class SpeculativeReader {
  readonly #sequence: Sequence;
  readonly #tokens: number[];
  readonly #ahead: number;
  readonly #guesser: Guesser | undefined;
  #guesses: Guess[] = [];

  /**
   * @param tokens what the sequence holds; negative where it is no token
   * @param ahead most tokens to guess at once; 0 guesses none
   * @param guesser asked where prompt lookup finds nothing
   */
  constructor(sequence: Sequence, tokens: readonly number[], ahead: number, guesser?: Guesser) {
    this.#sequence = sequence;
    this.#tokens = [...tokens];
    this.#ahead = ahead;
    this.#guesser = guesser;
  }

  /** False when the model's context is full. */
  get hasRoom(): boolean {
    return this.#sequence.hasRoom || this.#guesses.length > 0;
  }

  /** Appends `id`; returns the logits [V] after it, valid until the next call that computes. */
  async append(id: number, signal?: AbortSignal): Promise<Float32Array> {
    this.#tokens.push(id);
    const guess = this.#guesses.shift();
    if (guess?.id === id) return guess.logits;
    if (guess) this.#drop(1);
    const guessed = await this.#guess(Math.min(this.#ahead, this.#sequence.room - 1), signal);
    if (guessed.length === 0) return this.#sequence.append(id, signal);
    const [logits, ...after] = await this.#sequence.appendAll([id, ...guessed], signal);
    this.#guesses = guessed.map((next, i) => ({ id: next, logits: after[i]! }));
    return logits!;
  }

  async #guess(count: number, signal?: AbortSignal): Promise<readonly number[]> {
    if (count <= 0) return [];
    const found = lookUp(this.#tokens, count);
    return found.length > 0 || !this.#guesser ? found : await this.#guesser.guess(this.#tokens, count, signal);
  }

  /** Takes guesses that came to nothing out of the sequence. */
  settle(): void {
    this.#drop(0);
  }

  /** Takes the guesses that are left, and `taken` that were taken off the list, out of the sequence. */
  #drop(taken: number): void {
    this.#sequence.truncate(this.#sequence.length - this.#guesses.length - taken);
    this.#guesses = [];
  }
}
