/**
 * @file Tokenizers that may not be redistributed (Llama 2) or are large (CLIP), on 6,000 texts. The goldens are made by
 * `scripts/make_tokenizer_goldens.py --out FOLDER --llama2 … --clip …`; LLAVA_TOKENIZER_GOLDENS names FOLDER.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type AddedToken, tokenizerFromJson, tokenizerFromModel } from '../../../src/processor/text/index.ts';
import { type JsonGolden, type LlamaGolden, mismatches, readJson, readTexts } from './goldens.ts';

const folder = process.env.LLAVA_TOKENIZER_GOLDENS;

describe.skipIf(!folder)('full-size tokenizers (skipped unless LLAVA_TOKENIZER_GOLDENS names their goldens)', () => {
  const texts = folder ? readTexts(folder) : [];

  test('Llama 2, tokenizer.model', () => {
    const golden = readJson<LlamaGolden>('llama2.golden.json.gz', folder);
    const bytes = readFileSync(`${folder}/llama2.model`);
    const plain = tokenizerFromModel(bytes, { roles: { bos: ' none', eos: ' none', unk: ' none' } });
    expect(mismatches(texts, golden.ids, text => plain.encode(text))).toEqual([]);
    expect(mismatches(golden.ids, golden.decoded, ids => plain.decode(ids))).toEqual([]);
    const flags = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false };
    const addedTokens: AddedToken[] = ['<image>', '<pad>'].map((content, i) => ({ content, id: 32000 + i, ...flags }));
    for (const [legacy, wanted] of [
      [true, golden.legacy],
      [false, golden.modern],
    ] as const) {
      const tokenizer = tokenizerFromModel(bytes, { legacy, addedTokens });
      expect(mismatches(texts, wanted, text => tokenizer.encode(text))).toEqual([]);
    }
  }, 60_000);

  test.each(['llama2-fast', 'clip'])(
    '%s, tokenizer.json',
    name => {
      const golden = readJson<JsonGolden>(`${name}.golden.json.gz`, folder);
      const tokenizer = tokenizerFromJson(readJson(`${name}.tokenizer.json.gz`, folder));
      expect(mismatches(texts, golden.ids, text => tokenizer.encode(text))).toEqual([]);
      expect(mismatches(golden.ids, golden.decoded, ids => tokenizer.decode(ids, { skipSpecial: true }))).toEqual([]);
    },
    60_000,
  );
});
