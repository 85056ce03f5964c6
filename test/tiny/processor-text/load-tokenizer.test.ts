import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  llama2cTokenizer,
  loadTokenizer,
  readLlama2cPieces,
  saveTokenizer,
  tokenizerFromJson,
  trainBpe,
} from '../../../src/processor/text/index.ts';
import { FOLDER, type LlamaGolden, mismatches, readGz, readJson, readTexts, type TokenizerGolden } from './goldens.ts';

const TEXTS = readTexts();
const folder = mkdtempSync(join(tmpdir(), 'llava-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const model = readGz('sp-bpe-llama.model.gz');
const size = 900;
const golden = readJson<LlamaGolden>('sp-bpe-llama.golden.json.gz');

/** Writes the files into a fresh folder and loads it. */
function load(files: Readonly<Record<string, object | Uint8Array>>, options = {}) {
  const path = mkdtempSync(join(folder, 'model-'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(path, name), content instanceof Uint8Array ? content : JSON.stringify(content));
  }
  return loadTokenizer(path, options);
}

const special = { lstrip: false, rstrip: false, single_word: false, normalized: false, special: true };
const config = {
  tokenizer_class: 'LlamaTokenizer',
  legacy: false,
  bos_token: { content: '<s>', ...special },
  eos_token: '</s>',
  pad_token: '<pad>',
  added_tokens_decoder: {
    [size]: { content: '<image>', ...special },
    [size + 1]: { content: '<pad>', ...special },
  },
};

describe('tokenizer.model with its config', () => {
  test('the legacy flag and added tokens are honoured', () => {
    const modern = load({ 'tokenizer.model': model, 'tokenizer_config.json': config });
    expect(mismatches(TEXTS, golden.modern, text => modern.encode(text))).toEqual([]);
    expect([modern.bosId, modern.eosId, modern.padId, modern.vocabSize]).toEqual([1, 2, size + 1, size + 2]);
    const legacy = load({ 'tokenizer.model': model, 'tokenizer_config.json': { ...config, legacy: true } });
    expect(mismatches(TEXTS, golden.legacy, text => legacy.encode(text))).toEqual([]);
  });

  test('the older files added_tokens.json and special_tokens_map.json say the same', () => {
    const tokenizer = load({
      'tokenizer.model': model,
      'added_tokens.json': { '<image>': size, '<pad>': size + 1 },
      'special_tokens_map.json': { pad_token: '<pad>', additional_special_tokens: ['<image>'] },
    });
    expect(mismatches(TEXTS, golden.legacy, text => tokenizer.encode(text))).toEqual([]);
    expect(tokenizer.decode([size, size + 1], { skipSpecial: true })).toBe('');
  });

  test('BOS can be off and EOS on', () => {
    const flags = { add_bos_token: false, add_eos_token: true };
    const tokenizer = load({ 'tokenizer.model': model, 'tokenizer_config.json': { ...config, ...flags } });
    expect(tokenizer.encode('')).toEqual([2]);
    expect(tokenizer.encode('', { addBos: false })).toEqual([]);
  });
});

describe('tokenizer.json with its config', () => {
  const json = readJson<object>('json-llama.tokenizer.json.gz');
  const plain = tokenizerFromJson(json);

  test('is preferred to tokenizer.model, unless asked otherwise', () => {
    const files = { 'tokenizer.json': json, 'tokenizer.model': model };
    expect(load(files).encode('Hello there')).toEqual(plain.encode('Hello there'));
    expect(load(files, { prefer: 'tokenizer.model' }).vocabSize).toBe(size);
  });

  test("Llama's class applies add_bos_token and add_eos_token, others leave it to the file", () => {
    const flags = { bos_token: '<s>', eos_token: '</s>', add_bos_token: false, add_eos_token: true };
    const encode = (tokenizer_class: string): number[] =>
      load({ 'tokenizer.json': json, 'tokenizer_config.json': { ...flags, tokenizer_class } }).encode('');
    expect(encode('LlamaTokenizerFast')).toEqual([2]);
    expect(encode('PreTrainedTokenizerFast')).toEqual([1]);
  });

  test('roles and added tokens come from the config', () => {
    const added = { '900': { content: '<extra>', ...special } };
    const roles = { eos_token: '</s>', pad_token: '<pad>' };
    const tokenizer = load({
      'tokenizer.json': json,
      'tokenizer_config.json': { ...roles, added_tokens_decoder: added },
    });
    expect(tokenizer.bosId).toBe(1);
    expect(tokenizer.eosId).toBe(2);
    expect(tokenizer.padId).toBe(plain.tokenToId('<pad>'));
    expect(tokenizer.unkId).toBe(0);
    expect(tokenizer.encode('<extra>')).toEqual([1, 900]);
    expect(tokenizer.vocabSize).toBe(901);
    expect(tokenizer.idToToken(900)).toBe('<extra>');
    expect(tokenizer.addedTokens.map(token => token.content)).toContain('<extra>');
  });
});

describe('llama2.c', () => {
  test("stories260K's tokenizer is as sentencepiece with the same pieces", () => {
    const wanted = readJson<TokenizerGolden>('tok512.golden.json.gz');
    const tokenizer = llama2cTokenizer(readLlama2cPieces(readFileSync(join(FOLDER, 'tok512.bin'))));
    const bare = (text: string): number[] => tokenizer.encode(text, { addBos: false, parseSpecial: false });
    expect(tokenizer.vocabSize).toBe(512);
    expect(mismatches(TEXTS, wanted.ids.slice(), bare)).toEqual([]);
    expect(mismatches(wanted.ids, wanted.decoded, ids => tokenizer.decode(ids))).toEqual([]);
    expect(tokenizer.encode('Once upon a time')).toEqual([1, 403, 407, 261, 378]);
  });

  test('a folder with tokenizer.bin', () => {
    const tokenizer = load({ 'tokenizer.bin': readFileSync(join(FOLDER, 'tok512.bin')) });
    expect(tokenizer.decode(tokenizer.encode('Once upon a time'), { skipSpecial: true })).toBe('Once upon a time');
  });
});

describe('training', () => {
  const lines = ['a red apple', 'a green apple', 'two red cars on a road', 'the cat and the dog 🐈', 'a red car'];
  const options = { vocabSize: 320, specialTokens: ['<pad>', '<image>'] };
  const trained = trainBpe(lines, options);

  test('is deterministic and keeps to the size', () => {
    expect(trainBpe(lines, options).tokenizerJson).toEqual(trained.tokenizerJson);
    expect(trained.tokenizer.vocabSize).toBeLessThanOrEqual(320);
    expect(trainBpe(lines, { vocabSize: 260 }).tokenizer.vocabSize).toBe(260);
  });

  test('special tokens come first, then bytes, then ▁ and the alphabet', () => {
    const { tokenizer } = trained;
    expect([0, 1, 2, 3, 4].map(id => tokenizer.idToToken(id))).toEqual(['<unk>', '<s>', '</s>', '<pad>', '<image>']);
    expect([tokenizer.unkId, tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([0, 1, 2, 3]);
    expect([tokenizer.idToToken(5), tokenizer.idToToken(260), tokenizer.idToToken(261)]).toEqual([
      '<0x00>',
      '<0xFF>',
      '▁',
    ]);
  });

  test('frequent words are one token, and every text comes back', () => {
    const { tokenizer } = trained;
    expect(tokenizer.encode('a red apple').map(id => tokenizer.idToToken(id))).toEqual(['<s>', '▁a', '▁red', '▁apple']);
    // As in `tokenizers`, a text that begins with a space takes no other in front, and loses it in decoding.
    const plain = TEXTS.filter(text => !/^ |▁|<(s|\/s|unk|pad|image)>/.test(text));
    const back = (text: string): string => tokenizer.decode(tokenizer.encode(text), { skipSpecial: true });
    expect(mismatches(plain, plain, back)).toEqual([]);
  });

  test('what is saved loads as the same tokenizer', async () => {
    await saveTokenizer(join(folder, 'trained'), trained);
    const loaded = loadTokenizer(join(folder, 'trained'));
    expect(
      mismatches(
        TEXTS,
        TEXTS.map(text => trained.tokenizer.encode(text)),
        text => loaded.encode(text),
      ),
    ).toEqual([]);
    expect([loaded.bosId, loaded.eosId, loaded.padId, loaded.unkId]).toEqual([1, 2, 3, 0]);
  });

  test('too small a vocabulary is refused', () => {
    expect(() => trainBpe(lines, { vocabSize: 100 })).toThrow('vocabSize: expected at least 260, got 100');
    expect(() => trainBpe(lines, { vocabSize: 400, specialTokens: ['<s>'] })).toThrow(
      'specialTokens: expected no token twice',
    );
  });
});
