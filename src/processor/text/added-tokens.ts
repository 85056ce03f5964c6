/**
 * @file Cuts text at added tokens: `a</s>b` → `a`, token 2, `b`. Rules of Hugging Face `tokenizers` (leftmost, longest
 * match first; lstrip, rstrip, single word), which the slow tokenizers of `transformers` share.
 */

import type { AddedToken } from './tokenizer.ts';

/** A stretch [start, end) of the text: an added token when it has an id, else plain text. */
export interface Section {
  readonly start: number;
  readonly end: number;
  readonly id?: number;
}

const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`;
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const SPACE = /\p{White_Space}/u;

/** Cuts a text into sections; `parseSpecial` false leaves special tokens in the plain text. */
export type Splitter = (text: string, parseSpecial: boolean) => Section[];

/**
 * A splitter for `tokens`, each matched where its `written` form stands (its content; or that content normalised, for
 * tokens that are looked for in normalised text).
 */
export function addedTokenSplitter(
  tokens: readonly AddedToken[],
  written: (token: AddedToken) => string = token => token.content,
): Splitter {
  const byText = new Map(tokens.map(token => [written(token), token] as const).filter(([text]) => text !== ''));
  if (byText.size === 0) return text => (text === '' ? [] : [{ start: 0, end: text.length }]);
  const longestFirst = [...byText.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapeRegExp).join('|'), 'gu');
  return (text, parseSpecial) => split(text, pattern, byText, parseSpecial);
}

function split(text: string, pattern: RegExp, byText: ReadonlyMap<string, AddedToken>, parseSpecial: boolean) {
  const sections: Section[] = [];
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    const token = byText.get(match[0])!;
    if (token.special && !parseSpecial) continue;
    let [start, end] = [match.index, match.index + match[0].length];
    if (token.singleWord && !standsAlone(text, start, end)) continue;
    if (token.lstrip) start = Math.max(spaceBefore(text, start), done);
    if (token.rstrip) end = spaceAfter(text, end);
    if (start > done) sections.push({ start: done, end: start });
    sections.push({ start, end, id: token.id });
    done = end;
  }
  if (done < text.length) sections.push({ start: done, end: text.length });
  return sections;
}

function standsAlone(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 2), start);
  return !ENDS_WITH_WORD.test(before) && !STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

function spaceBefore(text: string, position: number): number {
  let start = position;
  while (start > 0 && SPACE.test(text[start - 1]!)) start--;
  return start;
}

function spaceAfter(text: string, position: number): number {
  let end = position;
  while (end < text.length && SPACE.test(text[end]!)) end++;
  return end;
}

/** The text as a regular expression that matches just it. */
export function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
