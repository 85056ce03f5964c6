import { describe, expect, test } from 'vitest';
import {
  type AddedToken,
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromModel,
} from '../../../src/processor/text/index.ts';
import {
  type JsonGolden,
  type LlamaGolden,
  mismatches,
  readGz,
  readJson,
  readTexts,
  type TokenizerGolden,
} from './goldens.ts';

const TEXTS = readTexts();
const SENTENCEPIECE = ['sp-bpe-llama', 'sp-bpe-nodummy', 'sp-unigram-nfkc', 'sp-unigram-bytes', 'sp-unigram-suffix'];
const JSON_NAMES = ['llama', 'metaspace-first', 'metaspace-split', 'gpt2', 'llama3', 'qwen2', 'clip', 'digits'];

describe('as the sentencepiece library', () => {
  test.each(SENTENCEPIECE)('%s', name => {
    const golden = readJson<TokenizerGolden>(`${name}.golden.json.gz`);
    // a role that is no piece: nothing is cut out of the text, as in the library
    const none = { bos: ' none', eos: ' none', unk: ' none' };
    const tokenizer = tokenizerFromModel(readGz(`${name}.model.gz`), { roles: none });
    expect(TEXTS.length).toBeGreaterThanOrEqual(400);
    expect(mismatches(TEXTS, golden.ids, text => tokenizer.encode(text))).toEqual([]);
    expect(mismatches(golden.ids, golden.decoded, ids => tokenizer.decode(ids))).toEqual([]);
    expect(mismatches(golden.mixtures, golden.mixturesDecoded, ids => tokenizer.decode(ids))).toEqual([]);
  });
});

describe('as the slow LlamaTokenizer of transformers', () => {
  const golden = readJson<LlamaGolden>('sp-bpe-llama.golden.json.gz');
  const bytes = readGz('sp-bpe-llama.model.gz');
  const size = tokenizerFromModel(bytes).vocabSize;
  const flags = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false };
  const addedTokens: AddedToken[] = ['<image>', '<pad>'].map((content, i) => ({ content, id: size + i, ...flags }));

  test.each([
    ['legacy', true],
    ['modern', false],
  ] as const)('%s', (key, legacy) => {
    const tokenizer = tokenizerFromModel(bytes, { legacy, addedTokens, roles: { pad: '<pad>' } });
    expect(mismatches(TEXTS, golden[key], text => tokenizer.encode(text))).toEqual([]);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.unkId, tokenizer.padId]).toEqual([1, 2, 0, size + 1]);
    expect(tokenizer.vocabSize).toBe(size + 2);
  });

  test('special tokens can be read as text and left out', () => {
    const tokenizer = tokenizerFromModel(bytes, { addedTokens });
    expect(tokenizer.encode('a</s>')).toEqual([1, ...tokenizer.encode('a', { addBos: false }), 2]);
    expect(tokenizer.encode('a</s>', { parseSpecial: false })).not.toContain(2);
    expect(tokenizer.decode(tokenizer.encode('a</s>', { parseSpecial: false }), { skipSpecial: true })).toBe('a</s>');
    expect(tokenizer.decode([1, ...tokenizer.encode('a b', { addBos: false }), 2, size])).toBe('<s> a b</s><image>');
    expect(tokenizer.decode([1, ...tokenizer.encode('a b', { addBos: false }), 2, size], { skipSpecial: true })).toBe(
      'a b',
    );
  });

  test('ids out of the vocabulary, as the image index, are left out of text', () => {
    const tokenizer = tokenizerFromModel(bytes);
    expect(tokenizer.decode([-200, ...tokenizer.encode('a b'), 10_000_000, 0.5], { skipSpecial: true })).toBe('a b');
  });
});

describe('as the tokenizers library', () => {
  test.each(JSON_NAMES)('%s', name => {
    const golden = readJson<JsonGolden>(`json-${name}.golden.json.gz`);
    const tokenizer = tokenizerFromJson(readJson(`json-${name}.tokenizer.json.gz`));
    const { ids } = golden;
    const bare = golden.bare.map((list, i) => list ?? ids[i]!);
    expect(mismatches(TEXTS, ids, text => tokenizer.encode(text))).toEqual([]);
    expect(mismatches(TEXTS, bare, text => tokenizer.encode(text, { addBos: false }))).toEqual([]);
    expect(mismatches(ids, golden.decoded, list => tokenizer.decode(list, { skipSpecial: true }))).toEqual([]);
    expect(mismatches(ids, golden.decodedSpecial, list => tokenizer.decode(list))).toEqual([]);
    expect(mismatches(golden.mixtures, golden.mixturesDecoded, list => tokenizer.decode(list))).toEqual([]);
  });

  test('split behaviours', () => {
    const { splits } = readJson<{ splits: { text: string; behavior: string; invert: boolean; pieces: string[] }[] }>(
      'splits.json.gz',
    );
    // Every substring is a token that ignores merges, so each piece comes out as one token.
    const pieces = splits.map(({ text, behavior, invert }) => {
      const starts = Array.from(text, (_, i) => i);
      const substrings = starts.flatMap(from => starts.map(to => text.slice(from, to + 1))).filter(part => part !== '');
      const vocab = Object.fromEntries([...new Set(substrings)].map((part, id) => [part, id]));
      const tokenizer = tokenizerFromJson({
        pre_tokenizer: { type: 'Split', pattern: { Regex: '-' }, behavior, invert },
        model: { type: 'BPE', vocab, merges: [], ignore_merges: true },
      });
      return tokenizer.encode(text).map(id => tokenizer.idToToken(id));
    });
    expect(pieces).toEqual(splits.map(split => split.pieces));
  });
});

test('lone surrogates count as U+FFFD', () => {
  const tokenizer = tokenizerFromJson(readJson('json-llama3.tokenizer.json.gz'));
  expect(tokenizer.encode('a\ud800b\udc00')).toEqual(tokenizer.encode('a\ufffdb\ufffd'));
  const model = tokenizerFromModel(readGz('sp-bpe-llama.model.gz'));
  expect(model.encode('a\ud800')).toEqual(model.encode('a\ufffd'));
});

test('time grows with the length of the text, not its square, also in a run of one character', () => {
  const model = tokenizerFromModel(readGz('sp-bpe-llama.model.gz'));
  const json = tokenizerFromJson(readJson('json-llama3.tokenizer.json.gz'));
  const seconds = (tokenizer: Tokenizer, text: string): number => {
    const { user } = process.cpuUsage();
    tokenizer.encode(text);
    return (process.cpuUsage().user - user) / 1e6;
  };
  for (const text of ['a'.repeat(100_000), ' '.repeat(100_000), 'The quick brown fox. '.repeat(5_000)]) {
    // A quadratic merge takes minutes; 0.1 MB takes 0.1 s of processor time here.
    for (const tokenizer of [model, json]) expect(seconds(tokenizer, text)).toBeLessThan(3);
  }
});
