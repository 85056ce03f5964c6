/**
 * @file Rows of a file that is a JSON list of objects, or one object a line (JSON Lines), of any size: rows are found by
 * their brackets and parsed one by one. A JavaScript string holds 512 MB at most; LLaVA-1.5's list has 1 GB.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { LlavaError } from '../core/index.ts';

/** Bytes [start, end) of a file. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/** One row and where it lies in the file. */
export interface JsonRow extends ByteSpan {
  readonly value: unknown;
}

const CHUNK_BYTES = 2 ** 20;
const MAX_ROW_BYTES = 2 ** 24;

/** @throws LlavaError naming the file and the row when it cannot be read or is neither form of JSON */
export async function* readJsonRows(file: string): AsyncGenerator<JsonRow> {
  const handle = await openFile(file);
  try {
    const scanner = new RowScanner(file);
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let position = 0; ; ) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) return scanner.end();
      yield* scanner.push(chunk.subarray(0, bytesRead));
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** The row at a span that {@link readJsonRows} gave; `where` names it. */
export async function readJsonRow(file: string, { start, end }: ByteSpan, where: string): Promise<unknown> {
  const handle = await openFile(file);
  try {
    const bytes = Buffer.alloc(end - start);
    await handle.read(bytes, 0, bytes.length, start);
    return parseRow(bytes, where);
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    if ((await handle.stat()).isFile()) return handle;
  } catch (error) {
    const cause = (error as Error).message.replace(/, \w+( '.*)?$/s, '');
    throw new LlavaError(`${file}: expected a readable file, got ${cause}`);
  }
  await handle.close();
  throw new LlavaError(`${file}: expected a file, got a folder or device`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseRow(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new LlavaError(`${where}: expected a JSON object, got ${(error as Error).message.replaceAll('\n', ' ')}`);
  }
}

/** What may come between rows. */
type State = 'start' | 'first' | 'next' | 'comma' | 'line' | 'done';

/** For each state: what is expected, in words, and the state after each character; ROW where a row begins. */
const ROW = 'row';
const GRAMMAR: { readonly [K in State]: { words: string; after: Readonly<Record<string, State | typeof ROW>> } } = {
  start: { words: 'a JSON list of rows, or a row {…} a line', after: { '[': 'first', '{': ROW } },
  first: { words: 'a row {…} or ]', after: { '{': ROW, ']': 'done' } },
  next: { words: 'a row {…}', after: { '{': ROW } },
  comma: { words: 'a comma or ] after the row before', after: { ',': 'next', ']': 'done' } },
  line: { words: 'a row {…}', after: { '{': ROW } },
  done: { words: 'the end of the file', after: {} },
};

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPENING, CLOSING] = [new Set(Buffer.from('{[')), new Set(Buffer.from('}]'))];
const SPACE = new Set(Buffer.from(' \t\r\n'));

/** Cuts a file that comes in chunks into rows. */
class RowScanner {
  readonly #file: string;
  #state: State = 'start';
  #isList = false;
  #count = 0;
  /** Bytes not done with: from the start of the row that is being read. */
  #bytes = Buffer.alloc(0);
  /** Place of #bytes in the file. */
  #offset = 0;
  /** Next byte to look at; past the end when the last one was a backslash. */
  #cursor = 0;
  /** Open brackets of the row; 0 between rows. */
  #depth = 0;
  #inString = false;

  constructor(file: string) {
    this.#file = file;
  }

  /** The rows that end in `chunk`, which is copied. */
  *push(chunk: Buffer): Generator<JsonRow> {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#offset === 0 && this.#cursor === 0 && chunk.indexOf('\ufeff') === 0) this.#cursor = 3;
    let start = 0;
    for (;;) {
      if (this.#depth === 0) start = this.#findRow();
      if (this.#depth === 0 || !this.#findEnd()) break;
      const row = { start: this.#offset + start, end: this.#offset + this.#cursor };
      yield { ...row, value: parseRow(this.#bytes.subarray(start, this.#cursor), this.#where()) };
      this.#state = this.#isList ? 'comma' : 'line';
      this.#count++;
    }
    this.#forget(start);
  }

  /** @throws LlavaError when rows are still to come */
  end(): void {
    if (this.#depth > 0) throw new LlavaError(`${this.#where()}: expected the end of the row, got the end of the file`);
    if (this.#state === 'done' || this.#state === 'line') return;
    throw new LlavaError(`${this.#where()}: expected ${GRAMMAR[this.#state].words}, got the end of the file`);
  }

  /** Goes to the next row and into it; its start, or the end of the bytes. */
  #findRow(): number {
    for (; this.#cursor < this.#bytes.length; this.#cursor++) {
      const byte = this.#bytes[this.#cursor]!;
      if (SPACE.has(byte)) continue;
      const { words, after } = GRAMMAR[this.#state];
      const next = after[String.fromCharCode(byte)];
      if (next === undefined) {
        const got = JSON.stringify(String.fromCharCode(byte));
        throw new LlavaError(`${this.#where()}: expected ${words}, got ${got} at byte ${this.#offset + this.#cursor}`);
      }
      if (next === ROW) {
        this.#depth = 1;
        return this.#cursor++;
      }
      this.#state = next;
      this.#isList = true;
    }
    return this.#cursor;
  }

  /** Goes past the end of the row; false when it is not in these bytes. */
  #findEnd(): boolean {
    const bytes = this.#bytes;
    let cursor = this.#cursor;
    for (; cursor < bytes.length && this.#depth > 0; cursor++) {
      const byte = bytes[cursor]!;
      if (byte === QUOTE) this.#inString = !this.#inString;
      else if (this.#inString) cursor += byte === BACKSLASH ? 1 : 0;
      else if (OPENING.has(byte)) this.#depth++;
      else if (CLOSING.has(byte)) this.#depth--;
    }
    this.#cursor = cursor;
    return this.#depth === 0;
  }

  #forget(count: number): void {
    this.#bytes = this.#bytes.subarray(count);
    this.#offset += count;
    this.#cursor -= count;
    if (this.#bytes.length <= MAX_ROW_BYTES) return;
    throw new LlavaError(`${this.#where()}: expected a row of at most ${MAX_ROW_BYTES} bytes, got more`);
  }

  /** The row that is being read or comes next, as `file[17]`. */
  #where(): string {
    return this.#state === 'start' && this.#depth === 0 ? this.#file : `${this.#file}[${this.#count}]`;
  }
}
