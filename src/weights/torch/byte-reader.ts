/** @file Walks through bytes one after another, and never asks for more than there is or than its limit allows. */

import { LlavaError } from '../../core/index.ts';
import type { ByteSource } from '../byte-source.ts';

const WINDOW_BYTES = 2 ** 16;

/** Reads on from a position. Every method throws LlavaError when the source ends, or the limit is reached, before it is done. */
export class ByteReader {
  readonly where: string;
  readonly #source: ByteSource;
  readonly #end: number;
  #position: number;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;

  /**
   * @param where names the source in errors
   * @param maxBytes most bytes that are read in all
   */
  constructor(source: ByteSource, where: string, { start = 0, maxBytes = Number.POSITIVE_INFINITY } = {}) {
    this.where = where;
    this.#source = source;
    this.#position = start;
    this.#end = Math.min(source.size, start + maxBytes);
  }

  get position(): number {
    return this.#position;
  }

  /** Throws `where byte N: expected X, got Y`. */
  fail(expected: string, got: string, at = this.#position): never {
    throw new LlavaError(`${this.where} byte ${at}: expected ${expected}, got ${got}`);
  }

  /** The next `count` bytes, not to be changed. */
  take(count: number): Uint8Array {
    const start = this.#position;
    if (count > this.#end - start) {
      const limit = this.#end < this.#source.size ? `the limit of ${this.#end} bytes` : 'the end';
      this.fail(`${count} more bytes`, `${limit} after ${Math.max(0, this.#end - start)}`);
    }
    const isInside = start >= this.#windowStart && start + count <= this.#windowStart + this.#window.length;
    if (!isInside) this.#load(start, count);
    this.#position += count;
    return this.#window.subarray(start - this.#windowStart, start - this.#windowStart + count);
  }

  #load(start: number, count: number): void {
    this.#window = this.#source.read(start, Math.min(this.#end - start, Math.max(count, WINDOW_BYTES)));
    this.#windowStart = start;
  }

  /** The next byte. */
  byte(): number {
    const inWindow = this.#position - this.#windowStart;
    if (inWindow < 0 || inWindow >= this.#window.length) return this.take(1)[0]!;
    this.#position++;
    return this.#window[inWindow]!;
  }

  /** A little-endian unsigned integer of 1 to 8 bytes; one of 2^53 and more is refused. */
  unsigned(bytes: number): number {
    const at = this.#position;
    let value = 0;
    for (const [i, byte] of this.take(bytes).entries()) value += byte * 2 ** (8 * i);
    return Number.isSafeInteger(value) ? value : this.fail('a number below 2^53', `${value}`, at);
  }

  /** Text up to a line feed, which is taken too; of at most `maxLength` bytes, each a character. */
  line(maxLength: number): string {
    let text = '';
    const at = this.#position;
    for (let code = this.byte(); code !== 0x0a; code = this.byte()) {
      text += String.fromCharCode(code);
      if (text.length > maxLength) this.fail(`a line of at most ${maxLength} bytes`, 'a longer one', at);
    }
    return text;
  }

  /** UTF-8 text of `count` bytes; halves of surrogate pairs, which Python can write, become replacement characters. */
  text(count: number): string {
    return Buffer.from(this.take(count)).toString('utf8');
  }
}
