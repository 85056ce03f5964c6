/**
 * @file The pre-tokenizers of tokenizer.json: they split a stretch of text into the words within which BPE merges.
 */

import { LlavaError } from '../../core/index.ts';
import { toByteChars } from './byte-level.ts';
import { byType, type JsonFields } from './json-fields.ts';
import { readPattern, translateRegex } from './regex.ts';

/** A stretch of text, and what of its place decides whether it takes a prefix. */
export interface Piece {
  readonly text: string;
  /** It begins the whole text. */
  readonly first: boolean;
  /** It goes on from the part before. */
  readonly continues: boolean;
}

export type PreTokenizer = (piece: Piece) => Piece[];

type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

const GPT2_WORDS = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const BUILDERS: Readonly<Record<string, (fields: JsonFields) => PreTokenizer>> = {
  Sequence: fields => {
    const stages = fields.objects('pretokenizers').map(readPreTokenizer);
    return piece => stages.reduce((pieces, stage) => pieces.flatMap(stage), [piece]);
  },
  ByteLevel: fields => byteLevel(fields.boolean('add_prefix_space', true), fields.boolean('use_regex', true)),
  Metaspace: readMetaspace,
  Split: fields => {
    const behavior = readBehavior(fields);
    const [pattern, invert] = [readPattern(fields), fields.boolean('invert', false)];
    return piece => cut(piece, splitBy(piece.text, pattern, behavior, invert));
  },
  Digits: fields => {
    const behavior = fields.boolean('individual_digits', false) ? 'Isolated' : 'Contiguous';
    return piece => cut(piece, splitBy(piece.text, /\p{N}/gu, behavior, false));
  },
};

/** @throws LlavaError for a pre-tokenizer of an unknown type. */
export function readPreTokenizer(fields: JsonFields): PreTokenizer {
  return byType(fields, 'pre-tokenizer', BUILDERS)(fields);
}

function readBehavior(fields: JsonFields): Behavior {
  const name = fields.string('behavior');
  const known: readonly string[] = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];
  if (known.includes(name)) return name as Behavior;
  throw new LlavaError(`${fields.where}.behavior: expected one of ${known.join(', ')}, got ${name}`);
}

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  const words = translateRegex('ByteLevel', GPT2_WORDS);
  return piece => {
    const prefix = addPrefixSpace && !piece.continues && !piece.text.startsWith(' ') ? ' ' : '';
    const text = prefix + piece.text;
    return cut(piece, (useRegex ? splitBy(text, words, 'Isolated', false) : [text]).map(toByteChars));
  };
}

function readMetaspace(fields: JsonFields): PreTokenizer {
  const mark = fields.string('replacement', '▁');
  const legacyScheme = fields.boolean('add_prefix_space', true) ? 'always' : 'never';
  const scheme = fields.string('prepend_scheme', legacyScheme);
  const split = fields.boolean('split', true);
  return piece => {
    const text = piece.text.replaceAll(' ', mark);
    const wanted = scheme === 'always' || (scheme === 'first' && piece.first);
    const prefix = wanted && !piece.continues && !text.startsWith(mark) ? mark : '';
    return cut(piece, split ? splitBefore(prefix + text, mark) : [prefix + text]);
  };
}

function splitBefore(text: string, mark: string): string[] {
  const words = text.split(mark).map((word, i) => (i === 0 ? word : mark + word));
  return words.filter(word => word !== '');
}

/** `piece` cut into `texts`; only the first of them keeps its place at the beginning. */
function cut(piece: Piece, texts: readonly string[]): Piece[] {
  const kept = texts.filter(text => text !== '');
  return kept.map((text, i) => ({ text, first: piece.first && i === 0, continues: piece.continues && i === 0 }));
}

/** Splits at the matches of `pattern` (at the rest, if `invert`), which fare as `behavior` says. */
export function splitBy(text: string, pattern: RegExp, behavior: Behavior, invert: boolean): string[] {
  const words: string[] = [];
  let previousIsDelimiter = false;
  const add = (from: number, to: number, isDelimiter: boolean): void => {
    if (from === to || (isDelimiter && behavior === 'Removed')) return;
    const join =
      words.length > 0 &&
      ((behavior === 'MergedWithPrevious' && isDelimiter && !previousIsDelimiter) ||
        (behavior === 'MergedWithNext' && !isDelimiter && previousIsDelimiter) ||
        (behavior === 'Contiguous' && isDelimiter === previousIsDelimiter));
    if (join) words.push(words.pop() + text.slice(from, to));
    else words.push(text.slice(from, to));
    previousIsDelimiter = isDelimiter;
  };
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    add(done, match.index, invert);
    add(match.index, match.index + match[0].length, !invert);
    done = match.index + match[0].length;
  }
  add(done, text.length, invert);
  return words;
}
