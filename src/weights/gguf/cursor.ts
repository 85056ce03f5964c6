/**
 * @file Reads the little-endian fields of a GGUF header one after another, through a window over the file, so that a
 * header of megabytes needs no more memory than its values. Nothing is allocated before the bytes for it are known to
 * exist.
 */

import { LlavaError } from '../../core/index.ts';
import type { ByteSource } from '../byte-source.ts';
import { listNames } from '../files.ts';

const WINDOW_BYTES = 2 ** 20;
const MAX_MESSAGE = 200;

export class GgufCursor {
  readonly #source: ByteSource;
  readonly #where: string;
  readonly #limit: number;
  #window: Buffer = Buffer.alloc(0);
  /** Position of the window's first byte. */
  #start = 0;
  #offset = 0;

  /**
   * @param where names the file in errors
   * @param limit bytes that a header may have
   */
  constructor(source: ByteSource, where: string, limit: number) {
    this.#source = source;
    this.#where = where;
    this.#limit = Math.min(limit, source.size);
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#start + this.#offset;
  }

  /** Bytes that the header may still have. */
  get remaining(): number {
    return this.#limit - this.offset;
  }

  /** Throws `FILE: byte N: expected X, got Y`. */
  fail(expected: string, got: string): never {
    const line = listNames([expected.slice(0, MAX_MESSAGE)]); // may hold names from the file
    throw new LlavaError(`${this.#where}: byte ${this.offset}: expected ${line}, got ${got}`);
  }

  /** The next `count` bytes, valid until the next call. */
  bytes(count: number, what: string): Buffer {
    if (count > this.remaining) this.fail(`${count} bytes of ${what}`, `${this.remaining} bytes before the end`);
    if (this.#offset + count > this.#window.length) this.#fill(count);
    const bytes = this.#window.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return bytes;
  }

  u32(what: string): number {
    return this.bytes(4, what).readUInt32LE();
  }

  u64(what: string): bigint {
    return this.bytes(8, what).readBigUInt64LE();
  }

  /** A u64 that counts things of at least `itemBytes` bytes each, which must still fit into the header. */
  count(what: string, itemBytes: number): number {
    const value = this.u64(what);
    const most = Math.floor(this.remaining / itemBytes);
    if (value > BigInt(most)) this.fail(`at most ${most} as ${what}`, `${value}`);
    return Number(value);
  }

  /** Text after its length. Bytes that are not UTF-8 become U+FFFD, as some vocabularies hold such. */
  text(what: string): string {
    return this.bytes(this.count(`length of ${what}`, 1), what).toString('utf8');
  }

  #fill(count: number): void {
    const start = this.offset;
    const bytes = this.#source.read(start, Math.min(Math.max(count, WINDOW_BYTES), this.#limit - start));
    const window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    [this.#window, this.#start, this.#offset] = [window, start, 0];
  }
}
