/**
 * @file A small model that writes ahead of a large one (speculative decoding, Leviathan et al. 2023): it reads the text alone, no
 * pictures, which serves a LLaVA almost as well (Gagrani et al. 2024).
 */

import { LlavaError } from '../core/index.ts';
import type { Tokenizer } from '../processor/index.ts';
import type { LlavaModel } from './model.ts';
import { argmax } from './sampler.ts';
import type { Sequence } from './sequence.ts';
import type { Guesser } from './speculation.ts';

/** Tokens that the draft thinks less likely are not guessed: computing them would cost more than they save. */
const LEAST_PROBABILITY = 0.4;

/** What a draft model has read of one text, to go on from there. Guesses are its own greedy answers. */
export class Draft implements Guesser, Disposable {
  readonly #model: LlavaModel;
  readonly #positions: number;
  /** Made by the first guess: where none is asked for, no cache is needed. */
  #sequence: Sequence | undefined;

  /** @param positions room to make for the text */
  constructor(model: LlavaModel, positions: number) {
    this.#model = model;
    this.#positions = Math.min(positions, model.language.contextLength);
  }

  async guess(tokens: readonly number[], count: number, signal?: AbortSignal): Promise<readonly number[]> {
    const { contextLength, vocabSize } = this.#model.language;
    const ids = tokens.filter(id => id >= 0 && id < vocabSize);
    if (ids.length === 0 || ids.length + count > contextLength) return [];
    this.#sequence ??= this.#model.sequence(this.#positions);
    let logits = await this.#sequence.read({ ids, images: [] }, signal);
    const guessed: number[] = [];
    while (guessed.length < count) {
      const id = argmax(logits);
      if (probability(logits, id) < LEAST_PROBABILITY) break;
      guessed.push(id);
      if (guessed.length < count) logits = await this.#sequence.append(id, signal);
    }
    return guessed;
  }

  dispose(): void {
    this.#sequence?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Of the largest logit, by softmax. */
function probability(logits: Float32Array, largest: number): number {
  return 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[largest]!), 0);
}

/** Throws {@link LlavaError} unless the draft has the tokens of the model `name`, as far as the shorter list goes. */
export function checkDraft(name: string, tokenizer: Tokenizer, { name: draft, processor }: LlavaModel): void {
  const count = Math.min(tokenizer.vocabSize, processor.tokenizer.vocabSize);
  for (let id = 0; id < count; id++) {
    const [expected, got] = [tokenizer, processor.tokenizer].map(tokens => JSON.stringify(tokens.idToToken(id)));
    if (expected === got) continue;
    throw new LlavaError(
      `option draft: expected a model with the tokens of ${name}, such as ${expected} for ${id}, got ${got} from ${draft}`,
    );
  }
}
