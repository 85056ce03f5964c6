import { Detokenizer, StopMatcher, type Tokenizer } from '../processor/index.ts';

/** Options of {@link AnswerText}. */
export interface AnswerTextOptions {
  /** The text goes on after these tokens, its white space being part of it. Default: an answer, trimmed at both ends. */
  readonly after?: readonly number[] | undefined;
  /** Texts that end the answer, and are not part of it. */
  readonly stop: readonly string[];
}

/** Text of an answer as its tokens come; what may still turn out to be a stop text or white space at the end waits. */
export class AnswerText {
  readonly #stream: Detokenizer;
  readonly #stop: StopMatcher;
  readonly #trim: boolean;
  #started = false;
  #space = '';

  constructor(tokenizer: Tokenizer, { after, stop }: AnswerTextOptions) {
    this.#stream = new Detokenizer(tokenizer);
    this.#stop = new StopMatcher(stop);
    this.#trim = after === undefined;
    // Decoders take the first text's leading space away, which here belongs to the answer.
    for (const id of after ?? []) this.#stream.push(id);
  }

  /** True once a stop text has come. */
  get stopped(): boolean {
    return this.#stop.stopped !== undefined;
  }

  /** The text that this token settles. */
  push(id: number): string {
    return this.#trimmed(this.#stop.push(this.#stream.push(id)));
  }

  /** The text that waited, when no more tokens come. */
  end(): string {
    const text = this.#stop.push(this.#stream.end()) + this.#stop.end();
    return this.#trimmed(text);
  }

  /** Leaves out space before the first letter, and holds back space until a letter follows. */
  #trimmed(text: string): string {
    if (!this.#trim) return text;
    const all = this.#space + (this.#started ? text : text.trimStart());
    const settled = all.trimEnd();
    this.#started ||= settled !== '';
    this.#space = all.slice(settled.length);
    return settled;
  }
}
