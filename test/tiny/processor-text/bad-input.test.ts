import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import {
  llama2cTokenizer,
  loadTokenizer,
  readLlama2cPieces,
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromModel,
} from '../../../src/processor/text/index.ts';
import { readGz } from './goldens.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'llava-tokenizer-'));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Builds and uses a tokenizer; a LlavaError on the way is as good as success, any other error is a bug. */
function worksOrExplains(build: () => Tokenizer): void {
  try {
    const tokenizer = build();
    const ids = tokenizer.encode('Hello <image> wörld 😀\n</s> ﬁ ①');
    tokenizer.decode(ids, { skipSpecial: true });
    tokenizer.decode(ids);
  } catch (error) {
    if (!(error instanceof LlavaError)) throw error;
    expect(error.message).not.toContain('\n');
  }
}

describe('broken tokenizer.model', () => {
  test.each(['sp-bpe-llama', 'sp-unigram-nfkc', 'sp-bpe-nodummy'])('%s with bytes changed, cut or added', name => {
    const bytes = readGz(`${name}.model.gz`);
    // Structure is at the beginnings of fields: half of the changes go to the first and last kilobytes.
    const at = fc.oneof(
      fc.integer({ min: 0, max: bytes.length - 1 }),
      fc.integer({ min: 0, max: 1000 }),
      fc.integer({ min: bytes.length - 1000, max: bytes.length - 1 }),
    );
    const change = fc.record({ at, value: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), fc.option(at), (changes, end) => {
        const mutated = bytes.slice(0, end ?? bytes.length);
        for (const { at: index, value } of changes) if (index < mutated.length) mutated[index] = value;
        worksOrExplains(() => tokenizerFromModel(mutated));
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    ['empty', new Uint8Array(), 'tokenizer.model: expected one unknown piece, got 0'],
    [
      'no protobuf',
      new TextEncoder().encode('not a model'),
      'tokenizer.model: expected a SentencePiece model, got broken data',
    ],
    ['word model', Uint8Array.of(0x12, 2, 0x18, 3), 'tokenizer.model: expected model type unigram or bpe, got word'],
  ])('%s', (_name, bytes, message) => {
    expect(() => tokenizerFromModel(bytes)).toThrow(message);
  });
});

/** Every object and list of a JSON value, with its keys. */
function* containers(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  yield value as Record<string, unknown>;
  for (const child of Object.values(value).slice(0, 20)) yield* containers(child);
}

describe('broken tokenizer.json', () => {
  test.each(['json-llama', 'json-llama3', 'json-clip'])('%s with a value replaced or removed', name => {
    const text = new TextDecoder().decode(readGz(`${name}.tokenizer.json.gz`));
    const strange = fc.constantFrom(
      null,
      true,
      -1,
      0.5,
      1e99,
      'x',
      '',
      '<0x41>',
      'Sequence',
      [],
      {},
      [null],
      { type: 'Nope' },
      '(',
      '[',
    );
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.option(strange, { nil: undefined }), (container, key, value) => {
        const json = JSON.parse(text);
        const all = [...containers(json)];
        const target = all[container % all.length]!;
        const keys = Object.keys(target);
        const chosen = keys[key % Math.max(1, keys.length)] ?? 'type';
        if (value === undefined) delete target[chosen];
        else target[chosen] = value;
        worksOrExplains(() => tokenizerFromJson(json));
      }),
      { numRuns: 60 },
    );
  });

  const model = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] };
  test.each([
    ['not an object', [], 'tokenizer.json: expected an object, got []'],
    ['no model', {}, 'tokenizer.json.model: expected an object, got nothing'],
    ['unigram', { model: { type: 'Unigram', vocab: [] } }, 'tokenizer.json.model.type: expected BPE, got Unigram'],
    ['id', { model: { ...model, vocab: { a: -1 } } }, 'tokenizer.json.model.vocab["a"]: expected a whole number'],
    [
      'merge',
      { model: { ...model, merges: ['a b'] } },
      'tokenizer.json.model.merges[0]: expected tokens of the vocabulary, got "a b"',
    ],
    [
      'merge of three',
      { model: { ...model, merges: ['a b c'] } },
      'tokenizer.json.model.merges[0]: expected two tokens',
    ],
    ['normalizer', { model, normalizer: { type: 'Odd' } }, 'tokenizer.json.normalizer: expected a normalizer of'],
    ['prototype', { model, decoder: { type: 'constructor' } }, 'tokenizer.json.decoder: expected a decoder of'],
    [
      'regex',
      { model, pre_tokenizer: { type: 'Split', pattern: { Regex: 'a++' }, behavior: 'Isolated' } },
      'tokenizer.json.pre_tokenizer: expected a supported regular expression, got "a++" (possessive quantifier)',
    ],
  ])('%s', (_name, json, message) => {
    expect(() => tokenizerFromJson(json)).toThrow(message);
  });
});

describe('folders', () => {
  test('without a tokenizer', () => {
    expect(() => loadTokenizer(folderWith({}))).toThrow(
      'expected a tokenizer (tokenizer.json or tokenizer.model or tokenizer.bin), got none',
    );
  });

  test('with files that are no JSON', () => {
    expect(() => loadTokenizer(folderWith({ 'tokenizer.json': '{"a":' }))).toThrow(
      'tokenizer.json: expected JSON, got',
    );
    const config = { 'tokenizer.model': readGz('sp-bpe-llama.model.gz'), 'tokenizer_config.json': '[1' };
    expect(() => loadTokenizer(folderWith(config))).toThrow('tokenizer_config.json: expected JSON, got');
  });

  test('with a config of the wrong shape', () => {
    const files = (config: object) => ({
      'tokenizer.model': readGz('sp-bpe-llama.model.gz'),
      'tokenizer_config.json': JSON.stringify(config),
    });
    const load = (config: object) => () => loadTokenizer(folderWith(files(config)));
    expect(load({ bos_token: 5 })).toThrow('tokenizer_config.json.bos_token: expected an object, got 5');
    expect(load({ legacy: 'no' })).toThrow('tokenizer_config.json.legacy: expected true or false, got "no"');
    expect(load({ added_tokens_decoder: { x: { content: 'a' } } })).toThrow(
      'added_tokens_decoder: id: expected a whole number',
    );
  });
});

test('llama2.c files cut short or without bytes', () => {
  const bytes = readGz('sp-bpe-llama.model.gz');
  expect(() => readLlama2cPieces(bytes.slice(0, 100))).toThrow(LlavaError);
  expect(() => llama2cTokenizer([])).toThrow('tokenizer.bin: expected <0x00> as token 3, got undefined');
});
