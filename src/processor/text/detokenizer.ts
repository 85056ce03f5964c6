/**
 * @file Generated tokens to text as it may be shown: whole characters only, and nothing of a stop string.
 */

import { LlavaError } from '../../core/index.ts';
import type { DecodeOptions, DecodeStream, Tokenizer } from './tokenizer.ts';

/**
 * Streams decoded text. A character is held back until its bytes are complete, so U+FFFD appears only for bytes that
 * can make none; the pieces joined are `tokenizer.decode` of all ids.
 */
export class Detokenizer {
  readonly #stream: DecodeStream;

  /** @param options special tokens are left out by default, unlike in `decode`. */
  constructor(tokenizer: Tokenizer, options: DecodeOptions = { skipSpecial: true }) {
    this.#stream = tokenizer.decodeStream(options);
  }

  /** The text that `id` settles, perhaps ''. */
  push(id: number): string {
    return this.#stream.push(id);
  }

  /** The text still held back; call it once, after the last id. */
  end(): string {
    return this.#stream.end();
  }
}

/**
 * Watches streamed text for stop strings. Text that may be the start of one is held back. The stop string that is
 * complete first ends the text; what stands before it is passed on, the rest is dropped.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';
  #stopped: string | undefined;

  /** @throws LlavaError for an empty stop string. */
  constructor(stops: readonly string[]) {
    if (stops.includes('')) throw new LlavaError("stop: expected non-empty strings, got ''");
    this.#stops = stops;
  }

  /** The stop string found; undefined so far. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** The part of the text so far that can be passed on; '' once stopped. */
  push(text: string): string {
    if (this.#stopped !== undefined) return '';
    const all = this.#held + text;
    const found = this.#firstComplete(all);
    this.#stopped = found?.stop;
    const end = found ? found.start : all.length - this.#openLength(all);
    this.#held = found ? '' : all.slice(end);
    return all.slice(0, end);
  }

  /** The text held back, which turned out to be no stop string. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  #firstComplete(text: string): { start: number; stop: string } | undefined {
    const found = this.#stops.map(stop => ({ stop, start: text.indexOf(stop) })).filter(({ start }) => start >= 0);
    const end = ({ start, stop }: { start: number; stop: string }): number => start + stop.length;
    return found.sort((a, b) => end(a) - end(b) || a.start - b.start)[0];
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #openLength(text: string): number {
    const longest = Math.max(0, ...this.#stops.map(stop => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      if (this.#stops.some(stop => stop.startsWith(text.slice(-length)))) return length;
    }
    return 0;
  }
}
