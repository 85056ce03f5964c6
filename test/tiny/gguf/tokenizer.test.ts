/**
 * @file Vocabularies in GGUF form: a folder's tokenizer, written and read, gives the ids of the reference libraries for every
 * text of their goldens.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  folderVocabulary,
  type GgufVocabulary,
  type Tokenizer,
  tokenizerFromGguf,
} from '../../../src/processor/index.ts';
import {
  type JsonGolden,
  type LlamaGolden,
  mismatches,
  readGz,
  readJson,
  readTexts,
} from '../processor-text/goldens.ts';
import { refusal, temporaryFolder } from '../weights/helpers.ts';

const TEXTS = readTexts();

function folderWith(name: string, content: Uint8Array | string): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, name), content);
  return folder;
}

/** Texts without added tokens, some of which strip the white space around them: the format has no word for that. */
function plainTexts(ids: readonly (readonly number[])[]) {
  return TEXTS.map((text, i) => ({ text, ids: ids[i]! })).filter(({ text }) => !text.includes('<'));
}

/** Rows beyond the tokenizer's, as embeddings often have. */
const ROWS = 1024;

test.each(['llama3', 'qwen2'])('byte-level BPE: %s', name => {
  const golden = readJson<JsonGolden>(`json-${name}.golden.json.gz`);
  const folder = folderWith('tokenizer.json', readGz(`json-${name}.tokenizer.json.gz`));
  const vocabulary = folderVocabulary(folder, ROWS);
  expect([vocabulary.model, vocabulary.pre]).toEqual(['gpt2', name === 'llama3' ? 'llama-bpe' : name]);
  expect(vocabulary.tokens.length).toBe(ROWS);
  const tokenizer = tokenizerFromGguf(vocabulary);
  const bare = plainTexts(golden.bare.map((list, i) => list ?? golden.ids[i]!));
  const encode = ({ text }: { text: string }) => tokenizer.encode(text, { addBos: false });
  expect(bare.length).toBeGreaterThan(250);
  expect(
    mismatches(
      bare,
      bare.map(({ ids }) => ids),
      encode,
    ),
  ).toEqual([]);
  expect(mismatches(golden.ids, golden.decoded, ids => tokenizer.decode(ids, { skipSpecial: true }))).toEqual([]);
});

/** The tokenizer gives the golden's ids for all texts without special tokens. */
function expectPlainTexts(tokenizer: Tokenizer, ids: Parameters<typeof plainTexts>[0]): void {
  const plain = plainTexts(ids);
  expect(plain.length).toBeGreaterThan(250);
  expect(
    mismatches(
      plain,
      plain.map(({ ids }) => ids),
      ({ text }) => tokenizer.encode(text),
    ),
  ).toEqual([]);
}

test('SentencePiece', () => {
  const golden = readJson<LlamaGolden>('sp-bpe-llama.golden.json.gz');
  const folder = folderWith('tokenizer.model', readGz('sp-bpe-llama.model.gz'));
  const vocabulary = folderVocabulary(folder, ROWS);
  const tokenizer = tokenizerFromGguf(vocabulary);
  expectPlainTexts(tokenizer, golden.legacy);
  expect([tokenizer.bosId, tokenizer.eosId, tokenizer.unkId, vocabulary.addBos, vocabulary.addEos]).toEqual([
    1,
    2,
    0,
    true,
    false,
  ]);
});

test('byte fallback of tokenizer.json: SentencePiece with the ranks of merges as scores', () => {
  const golden = readJson<JsonGolden>('json-llama.golden.json.gz');
  const folder = folderWith('tokenizer.json', readGz('json-llama.tokenizer.json.gz'));
  const tokenizer = tokenizerFromGguf(folderVocabulary(folder, ROWS));
  expectPlainTexts(tokenizer, golden.ids);
});

const vocabulary: GgufVocabulary = {
  where: 'f.gguf',
  model: 'llama',
  pre: undefined,
  tokens: ['<unk>', 'a', 'b'],
  scores: [0, -1, -2],
  types: [2, 1, 1],
  merges: undefined,
  bosId: undefined,
  eosId: undefined,
  unkId: 0,
  padId: undefined,
  addBos: undefined,
  addEos: undefined,
  addSpacePrefix: undefined,
  removeExtraWhitespaces: undefined,
  prefixAfterSpecial: undefined,
};

test.each<[string, Partial<GgufVocabulary>, string]>([
  ['another model', { model: 'bert' }, 'expected tokenizer.ggml.model llama or gpt2, got bert'],
  ['scores of another length', { scores: [1] }, 'expected 3 values in tokenizer.ggml.scores, got 1'],
  ['no scores', { scores: undefined }, 'expected tokenizer.ggml.scores for a llama vocabulary, got nothing'],
  ['a token twice', { tokens: ['<unk>', 'a', 'a'] }, 'expected distinct pieces, got "a"'],
  [
    'an unknown pre-tokenizer',
    { model: 'gpt2', pre: 'x' },
    'expected tokenizer.ggml.pre gpt-2, llama-bpe, qwen2, smollm, got "x"',
  ],
  [
    'a merge of no tokens',
    { model: 'gpt2', pre: 'gpt-2', merges: ['a c'] },
    'expected tokens of the vocabulary, got "a c"',
  ],
])('refuses %s', (_, change, message) => {
  expect(refusal(() => tokenizerFromGguf({ ...vocabulary, ...change }))).toMatch(message);
});

test('refuses to write what GGUF has no kind for', () => {
  const folder = folderWith('tokenizer.json', readGz('json-clip.tokenizer.json.gz'));
  expect(refusal(() => folderVocabulary(folder, ROWS))).toMatch(/tokenizer\.json: expected byte-level BPE of kind/);
  const model = folderWith('tokenizer.model', readGz('sp-unigram-bytes.model.gz'));
  expect(refusal(() => folderVocabulary(model, ROWS))).toMatch(/expected SentencePiece BPE .*, got unigram/);
  expect(refusal(() => folderVocabulary(temporaryFolder(), ROWS))).toMatch(
    /expected tokenizer.model or tokenizer.json, got neither/,
  );
});
