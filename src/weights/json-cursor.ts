/**
 * @file A strict JSON reader (RFC 8259) that pulls one token at a time, so that a caller which knows the grammar of its
 * document reads it with memory bounded by the text, sees duplicate keys, and reports where it went wrong. Whole
 * documents of no fixed grammar are better read with {@link parseJson}.
 */

import { LlavaError } from '../core/index.ts';

const INTEGER = /0|[1-9]\d*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;

/** Position in a JSON text. Every method starts by skipping white space and throws LlavaError on what it does not find. */
export class JsonCursor {
  readonly #text: string;
  readonly #locate: (offset: number) => string;
  #offset = 0;

  /** @param locate names a place in the text, for errors: `FILE:LINE:COLUMN` or alike */
  constructor(text: string, locate: (offset: number) => string) {
    this.#text = text;
    this.#locate = locate;
  }

  /** The next character that is not white space; empty at the end. */
  peek(): string {
    while (isSpace(this.#text.charCodeAt(this.#offset))) this.#offset++;
    return this.#text.charAt(this.#offset);
  }

  /** Throws `PLACE: expected X, got Y`; `got` is the text at this place unless it is given. */
  fail(expected: string, got = this.#excerpt()): never {
    throw new LlavaError(`${this.#locate(this.#offset)}: expected ${expected}, got ${got}`);
  }

  /** Reads an object; `onMember` must read the value that follows `key`. */
  object(expected: string, onMember: (key: string) => void): void {
    this.#list(expected, '{', '}', () => {
      const key = this.string('a name in double quotes');
      if (!this.#take(':')) this.fail('":"');
      onMember(key);
    });
  }

  /** Reads an array; `onItem` must read one item. */
  array(expected: string, onItem: () => void): void {
    this.#list(expected, '[', ']', onItem);
  }

  /** Reads a string. */
  string(expected: string): string {
    if (this.peek() !== '"') this.fail(expected);
    const start = this.#offset;
    const escaped = this.#skipString();
    const raw = this.#text.slice(start, this.#offset);
    if (!escaped) return raw.slice(1, -1);
    try {
      return JSON.parse(raw) as string;
    } catch {
      this.#offset = start;
      return this.fail('valid escapes in a string');
    }
  }

  /** Reads an integer from 0 to 2^53 − 1, written in plain digits. */
  integer(expected: string): number {
    this.peek();
    const digits = this.#match(INTEGER);
    const value = digits === '' || digits.length > 16 ? Number.NaN : Number(digits);
    if (Number.isSafeInteger(value)) return value;
    this.#offset -= digits.length;
    return this.fail(expected);
  }

  /** Reads and forgets any one value. */
  skipValue(): void {
    const first = this.peek();
    if (first === '{') this.object('an object', () => this.skipValue());
    else if (first === '[') this.array('an array', () => this.skipValue());
    else if (first === '"') this.string('a string');
    else if (this.#match(NUMBER) === '' && this.#match(WORD) === '') this.fail('a JSON value');
  }

  /** Checks that nothing but white space is left. */
  end(): void {
    if (this.peek() !== '') this.fail('nothing more');
  }

  #excerpt(): string {
    const rest = this.#text.slice(this.#offset, this.#offset + 20);
    return rest === '' ? 'the end' : JSON.stringify(rest);
  }

  #list(expected: string, open: string, close: string, onItem: () => void): void {
    if (!this.#take(open)) this.fail(expected);
    if (this.#take(close)) return;
    do onItem();
    while (this.#take(','));
    if (!this.#take(close)) this.fail(`"," or "${close}"`);
  }

  #take(char: string): boolean {
    if (this.peek() !== char) return false;
    this.#offset++;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#offset;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#offset += found.length;
    return found;
  }

  /** Moves behind the closing quote; true when the string holds escapes. */
  #skipString(): boolean {
    let escaped = false;
    for (let i = this.#offset + 1; i < this.#text.length; i++) {
      const code = this.#text.charCodeAt(i);
      if (code === 0x22) {
        this.#offset = i + 1;
        return escaped;
      }
      if (code < 0x20) {
        this.#offset = i;
        this.fail('control characters in a string to be escaped');
      }
      if (code === 0x5c) {
        escaped = true;
        i++;
      }
    }
    this.#offset = this.#text.length;
    return this.fail('a closing double quote');
  }
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
