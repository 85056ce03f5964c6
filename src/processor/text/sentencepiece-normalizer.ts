/**
 * @file SentencePiece's normaliser: character rules (longest match in a compiled trie), then spaces: trimmed, escaped
 * as `▁`, with a dummy prefix.
 */

import { Buffer } from 'node:buffer';
import type { SentencePieceSpec } from './sentencepiece-model.ts';

/** SentencePiece's sign for a space. */
export const SPACE_MARK = '▁';

/** Longest of some strings that stands at a position of a text; '' when none does. */
export type PrefixMatcher = (text: string, position: number) => string;

/** Matches `strings`, longest first. */
export function prefixMatcher(strings: readonly string[]): PrefixMatcher {
  const byFirst = new Map<string, string[]>();
  for (const string of [...strings].sort((a, b) => b.length - a.length)) {
    byFirst.set(string[0]!, [...(byFirst.get(string[0]!) ?? []), string]);
  }
  if (byFirst.size === 0) return () => '';
  return (text, position) => byFirst.get(text[position]!)?.find(string => text.startsWith(string, position)) ?? '';
}

/** Normalises texts by a model's rules. User-defined pieces are left as they are. */
export class SentencePieceNormalizer {
  readonly #spec: SentencePieceSpec;
  readonly #charsmap: Charsmap | undefined;
  readonly #userDefined: PrefixMatcher;
  readonly #onlySpaces: boolean;

  constructor(spec: SentencePieceSpec, userDefined: readonly string[]) {
    this.#spec = spec;
    this.#charsmap = spec.charsmap.length > 0 ? new Charsmap(spec.charsmap) : undefined;
    this.#userDefined = prefixMatcher(userDefined);
    this.#onlySpaces = !this.#charsmap && userDefined.length === 0 && !spec.removeExtraWhitespaces;
  }

  /** @param dummyPrefix false to leave out the dummy prefix that the model asks for. */
  normalize(text: string, dummyPrefix = true): string {
    const { escapeWhitespaces, addDummyPrefix, whitespaceAsSuffix, removeExtraWhitespaces } = this.#spec;
    const space = escapeWhitespaces ? SPACE_MARK : ' ';
    let body = this.#onlySpaces ? text : this.#rewrite(text);
    if (removeExtraWhitespaces && body === '') return '';
    if (escapeWhitespaces) body = body.replaceAll(' ', SPACE_MARK);
    if (removeExtraWhitespaces) body = trimEnd(body, space);
    if (text === '' || !addDummyPrefix || !dummyPrefix) return body;
    return whitespaceAsSuffix ? body + space : space + body;
  }

  /** Rules applied; with removeExtraWhitespaces, leading spaces dropped and others single. */
  #rewrite(text: string): string {
    const squeeze = this.#spec.removeExtraWhitespaces;
    const bytes = this.#charsmap ? Buffer.from(text) : undefined;
    let [out, afterSpace] = ['', squeeze];
    for (let [at, byte] = [0, 0]; at < text.length; ) {
      const [from, to] = this.#userDefinedAt(text, at) ?? this.#ruleAt(text, at, bytes, byte) ?? characterAt(text, at);
      const kept = afterSpace ? to.replace(/^ +/, '') : to;
      out += kept;
      if (kept !== '') afterSpace = squeeze && kept.endsWith(' ');
      if (bytes) byte += Buffer.byteLength(from);
      at += from.length;
    }
    return out;
  }

  #userDefinedAt(text: string, at: number): Rewrite | undefined {
    const match = this.#userDefined(text, at);
    return match === '' ? undefined : [match, match];
  }

  #ruleAt(text: string, at: number, bytes: Uint8Array | undefined, byte: number): Rewrite | undefined {
    const match = bytes && this.#charsmap!.longestMatch(bytes, byte);
    if (!match) return undefined;
    let end = at;
    for (let left = match.length; left > 0; ) {
      const [char] = characterAt(text, end);
      left -= Buffer.byteLength(char);
      end += char.length;
    }
    return [text.slice(at, end), match.replacement];
  }
}

/** Text and what it becomes. */
type Rewrite = readonly [from: string, to: string];

function characterAt(text: string, at: number): Rewrite {
  const char = String.fromCodePoint(text.codePointAt(at)!);
  return [char, char];
}

function trimEnd(text: string, end: string): string {
  let length = text.length;
  while (text.endsWith(end, length) && length > 0) length -= end.length;
  return text.slice(0, length);
}

/**
 * A precompiled charsmap: the byte length of a trie, the trie (a Darts double array of 32-bit units over UTF-8 bytes),
 * and the replacements as NUL-terminated strings, to which the trie's values point.
 */
class Charsmap {
  readonly #units: Uint32Array;
  readonly #strings: Uint8Array;

  constructor(blob: Uint8Array) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.length >= 4 ? Math.min(view.getUint32(0, true), blob.length - 4) : 0;
    this.#units = Uint32Array.from({ length: Math.floor(trieBytes / 4) }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#strings = blob.subarray(Math.min(4 + trieBytes, blob.length));
  }

  /** The longest rule at `start`: bytes it takes and what they become. */
  longestMatch(bytes: Uint8Array, start: number): { length: number; replacement: string } | undefined {
    let [length, value] = [0, 0];
    let node = offset(this.#unit(0));
    for (let i = start; i < bytes.length; i++) {
      node ^= bytes[i]!;
      const unit = this.#unit(node);
      if (label(unit) !== bytes[i]) break;
      node ^= offset(unit);
      if (hasLeaf(unit)) [length, value] = [i + 1 - start, this.#unit(node) & 0x7fffffff];
    }
    return length === 0 ? undefined : { length, replacement: this.#string(value) };
  }

  /** Units out of the array, in broken files, match nothing: their label is no byte. */
  #unit(index: number): number {
    return this.#units[index] ?? 0x80000000;
  }

  #string(start: number): string {
    const end = this.#strings.indexOf(0, start);
    return Buffer.from(this.#strings.subarray(start, end < 0 ? undefined : end)).toString();
  }
}

function offset(unit: number): number {
  return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
}

function label(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function hasLeaf(unit: number): boolean {
  return (unit & (1 << 8)) !== 0;
}
