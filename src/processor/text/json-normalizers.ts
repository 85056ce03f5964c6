/**
 * @file The normalisers of tokenizer.json: rewriting of a stretch of text before it is split into words.
 */

import { byType, type JsonFields } from './json-fields.ts';
import { readPattern } from './regex.ts';

/** Rewrites a stretch of text; `continues` when it goes on from the part before, and so takes no prefix. */
export type Normalizer = (text: string, continues: boolean) => string;

const BUILDERS: Readonly<Record<string, (fields: JsonFields) => Normalizer>> = {
  Sequence: fields => {
    const stages = fields.objects('normalizers').map(readNormalizer);
    return (text, continues) => stages.reduce((result, stage) => stage(result, continues), text);
  },
  Prepend: fields => {
    const prefix = fields.string('prepend');
    return (text, continues) => (continues || text === '' ? text : prefix + text);
  },
  Replace: fields => {
    const [pattern, content] = [readPattern(fields), fields.string('content')];
    return text => text.replace(pattern, () => content);
  },
  NFC: () => text => text.normalize('NFC'),
  NFD: () => text => text.normalize('NFD'),
  NFKC: () => text => text.normalize('NFKC'),
  NFKD: () => text => text.normalize('NFKD'),
  // Character by character: JavaScript alone would treat the final sigma of a word specially.
  Lowercase: () => text => text.replace(/\P{ASCII}|[A-Z]/gu, char => char.toLowerCase()),
  Strip: fields => {
    const [left, right] = [fields.boolean('strip_left', true), fields.boolean('strip_right', true)];
    return text => stripRight(left ? text.replace(/^\p{White_Space}+/u, '') : text, right);
  },
};

function stripRight(text: string, strip: boolean): string {
  let end = text.length;
  while (strip && end > 0 && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** @throws LlavaError for a normaliser of an unknown type. */
export function readNormalizer(fields: JsonFields): Normalizer {
  return byType(fields, 'normalizer', BUILDERS)(fields);
}
