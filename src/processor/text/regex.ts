/**
 * @file Translates the regular expressions of `tokenizer.json` files, written for Oniguruma, to JavaScript. Differences
 * that matter here: `\s` is Unicode White_Space (with U+0085, without U+FEFF), `\d` and `\w` are Unicode classes,
 * `(?i:…)` does not exist in Node 20.
 */

import { LlavaError } from '../../core/index.ts';
import { escapeRegExp } from './added-tokens.ts';
import type { JsonFields } from './json-fields.ts';

const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}`;
const OUTSIDE: Readonly<Record<string, string>> = { w: `[${WORD}]`, W: `[^${WORD}]` };
const INSIDE: Readonly<Record<string, string>> = { w: WORD };
const ANYWHERE: Readonly<Record<string, string>> = {
  s: String.raw`\p{White_Space}`,
  S: String.raw`\P{White_Space}`,
  d: String.raw`\p{Nd}`,
  D: String.raw`\P{Nd}`,
};
/** Letters outside ASCII that fold to an ASCII letter. */
const FOLDS_TO: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };

/** A `{"String": …}` or `{"Regex": …}` pattern of tokenizer.json, global. */
export function readPattern(fields: JsonFields): RegExp {
  const pattern = fields.object('pattern');
  if (pattern.has('String')) return new RegExp(escapeRegExp(pattern.string('String')), 'gu');
  return translateRegex(fields.where, pattern.string('Regex'));
}

/** A JavaScript expression, global and in Unicode mode, that matches as Oniguruma's `source` does. */
export function translateRegex(where: string, source: string): RegExp {
  const translated = new Translator(where, source).run();
  try {
    return new RegExp(translated, 'gu');
  } catch (error) {
    throw unsupported(where, source, (error as Error).message);
  }
}

function unsupported(where: string, source: string, what: string): LlavaError {
  return new LlavaError(
    `${where}: expected a supported regular expression, got ${JSON.stringify(source).slice(0, 200)} (${what})`,
  );
}

class Translator {
  readonly #where: string;
  readonly #source: string;
  #position = 0;
  #inClass = false;
  /** For each open group, whether case is ignored in it; the last is the innermost. */
  readonly #ignoreCase = [false];

  constructor(where: string, source: string) {
    this.#where = where;
    this.#source = source;
  }

  run(): string {
    let out = '';
    while (this.#position < this.#source.length) out += this.#item();
    return out;
  }

  #refuse(what: string): LlavaError {
    return unsupported(this.#where, this.#source, what);
  }

  #take(length: number): string {
    const text = this.#source.slice(this.#position, this.#position + length);
    this.#position += length;
    return text;
  }

  #item(): string {
    const char = this.#take(1);
    if (char === '\\') return this.#escape();
    if (this.#inClass) return this.#classItem(char);
    if (char === '[') return this.#openClass();
    if (char === '(') return this.#openGroup();
    if (char === ')') this.#closeGroup();
    if (char === '.') return '[^\\n]';
    if (char === '^' || char === '$') throw this.#refuse(`anchor ${char}`);
    if (char === '+' && /[+*?]/.test(this.#previous())) throw this.#refuse('possessive quantifier');
    return this.#literal(char);
  }

  #previous(): string {
    const [before, last] = [this.#source[this.#position - 3], this.#source[this.#position - 2]];
    return before === '\\' ? '' : (last ?? '');
  }

  #openClass(): string {
    if (this.#ignoreCase.at(-1)) throw this.#refuse('class in a case-insensitive group');
    this.#inClass = true;
    return this.#source[this.#position] === '^' ? `[${this.#take(1)}` : '[';
  }

  #classItem(char: string): string {
    if (char === '[' || (char === '&' && this.#source[this.#position] === '&')) throw this.#refuse('class in a class');
    if (char === ']') this.#inClass = false;
    return char;
  }

  #openGroup(): string {
    const ignoreCase = this.#source.startsWith('?i:', this.#position);
    const kind = /^\?(i:|:|=|!|<=|<!)/.exec(this.#source.slice(this.#position, this.#position + 3))?.[0] ?? '';
    if (kind === '' && this.#source[this.#position] === '?') throw this.#refuse('group');
    this.#position += kind.length;
    this.#ignoreCase.push(ignoreCase || this.#ignoreCase.at(-1)!);
    return `(${ignoreCase || kind === '' ? '?:' : kind}`;
  }

  #closeGroup(): void {
    if (this.#ignoreCase.length === 1) throw this.#refuse('unmatched )');
    this.#ignoreCase.pop();
  }

  #escape(): string {
    const char = this.#take(1);
    if (char === 'p' || char === 'P') return `\\${char}`;
    if (/[rntfv]/.test(char)) return `\\${char}`;
    const shorthand = ANYWHERE[char] ?? (this.#inClass ? INSIDE : OUTSIDE)[char];
    if (shorthand !== undefined) return shorthand;
    if (/[\p{L}\p{N}]/u.test(char) || char === '') throw this.#refuse(`escape \\${char}`);
    return /[\\^$.*+?()[\]{}|/-]/.test(char) && (char !== '-' || this.#inClass) ? `\\${char}` : char;
  }

  #literal(char: string): string {
    if (!this.#ignoreCase.at(-1) || !/\p{L}/u.test(char)) return char;
    const lower = char.toLowerCase();
    return `[${lower}${lower.toUpperCase()}${FOLDS_TO[lower] ?? ''}]`;
  }
}
