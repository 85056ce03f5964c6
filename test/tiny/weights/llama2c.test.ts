/** @file llama2.c files, judged by the story that llama2.c itself tells, and by damaged copies. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import {
  parseLlama2c,
  parseLlama2cTokenizer,
  readLlama2c,
  readLlama2cTokenizer,
  type ScoredPiece,
} from '../../../src/weights/index.ts';
import { GOLDEN, readGolden, refusal } from './helpers.ts';
import { referenceLlama } from './reference-llama.ts';

const MODEL = join(GOLDEN, 'stories260K/stories260K.bin');
const TOKENIZER = join(GOLDEN, 'stories260K/tok512.bin');
const BOS = 1;

/** Text of a token that follows `previous`: no space after BOS, `<0x0A>` is a byte. */
function decode({ bytes }: ScoredPiece, previous: number): string {
  const text = Buffer.from(bytes).toString('latin1');
  const byte = /^<0x([0-9A-F]{2})>$/.exec(text)?.[1];
  if (byte) return String.fromCharCode(Number.parseInt(byte, 16));
  return previous === BOS ? text.replace(/^ /, '') : text;
}

test('the model tells the 200-token story that llama2.c tells', () => {
  const { steps, story } = readGolden<{ steps: number; story: string }>('stories260K/story.json');
  const pieces = readLlama2cTokenizer(TOKENIZER);
  const step = referenceLlama(readLlama2c(MODEL));
  let token = BOS;
  let text = '';
  for (let position = 0; position < steps; position++) {
    const logits = step(token, position);
    const next = logits.indexOf(Math.max(...logits));
    text += decode(pieces[next]!, token);
    token = next;
  }
  expect(text).toBe(story);
});

test('config and names', () => {
  const { config, tensors } = readLlama2c(MODEL);
  expect(config).toEqual({
    model_type: 'llama',
    hidden_size: 64,
    intermediate_size: 172,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: 512,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 1e4,
    tie_word_embeddings: true,
  });
  expect(tensors.size).toBe(2 + 5 * 9);
  expect(tensors.get('model.layers.4.self_attn.k_proj.weight')!.shape).toEqual([32, 64]);
  expect(tensors.get('model.layers.0.mlp.down_proj.weight')!.shape).toEqual([64, 172]);
  expect(tensors.has('lm_head.weight')).toBe(false);
});

/** A checkpoint of these seven header numbers whose float number i is i. */
function counting(header: readonly number[], floats: number): Uint8Array {
  const body = Float32Array.from({ length: floats }, (_, i) => i);
  return Buffer.concat([new Uint8Array(Int32Array.from(header).buffer), new Uint8Array(body.buffer)]);
}

test('a negative vocabulary means a classifier of its own, behind the rotary tables', () => {
  const floats = 3 * 4 + 4 * (4 + 4 + 4 + 4) + 4 + 4 + 3 * (4 * 2) + 4 + 2 * (5 * 1);
  const { config, tensors } = parseLlama2c(counting([4, 2, 1, 2, 2, -3, 5], floats + 12), 'f');
  expect([config.vocab_size, config.tie_word_embeddings]).toEqual([3, false]);
  expect(tensors.get('lm_head.weight')!.data).toEqual(Float32Array.from({ length: 12 }, (_, i) => floats + i));
});

test('rows of queries move from pairs to halves, head by head', () => {
  const floats = 4 * 8 + 4 * 64 + 8 + 8 + 3 * 16 + 8 + 2 * (5 * 2);
  const { tensors } = parseLlama2c(counting([8, 2, 1, 2, 2, 4, 5], floats), 'f');
  const firsts = Array.from({ length: 8 }, (_, row) =>
    Number(tensors.get('model.layers.0.self_attn.q_proj.weight')!.data[8 * row]),
  );
  expect(firsts.map(first => (first - 40) / 8)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
});

test('the tokenizer: ids in order, longest piece, scores', () => {
  const pieces = readLlama2cTokenizer(TOKENIZER);
  expect(pieces.length).toBe(512);
  const text = (id: number): string => Buffer.from(pieces[id]!.bytes).toString();
  expect([0, 1, 2, 3, 258].map(text)).toEqual(['<unk>', '\n<s>\n', '\n</s>\n', '<0x00>', '<0xFF>']);
  expect(Math.max(...pieces.map(({ bytes }) => bytes.length))).toBe(7);
  expect(pieces.slice(259, 262).map(({ score }) => score)).toEqual([-0, -1, -2]);
});

test('a header that lies is refused before anything is allocated', () => {
  const bad = [
    [0, 2, 1, 2, 2, 3, 5],
    [4, -2, 1, 2, 2, 3, 5],
    [4, 2, 2 ** 31 - 1, 2, 2, 3, 5],
    [4, 2, 1, 3, 3, 3, 5],
    [4, 2, 1, 2, 0, 3, 5],
    [2, 2, 1, 2, 2, 3, 5],
  ];
  for (const header of bad) {
    expect(refusal(() => parseLlama2c(counting(header, 100), 'f'))).toBe(
      `f: expected the seven numbers of a llama2.c header, got ${header.join(', ')}`,
    );
  }
  expect(refusal(() => parseLlama2c(counting([4, 2, 1, 2, 2, 3, 5], 100), 'f'))).toMatch(
    /^f: expected \d+ bytes for its/,
  );
  expect(refusal(() => parseLlama2c(new Uint8Array(27), 'f'))).toBe('f: expected a llama2.c checkpoint, got 27 bytes');
});

test('damaged and truncated files: an error or a result, never anything else', () => {
  const rng = new Rng(5);
  const vocabulary = readFileSync(TOKENIZER).subarray(0, 200);
  for (let length = 0; length < 200; length++)
    refusal(() => parseLlama2cTokenizer(vocabulary.subarray(0, length), 'f'));
  const model = counting([4, 2, 1, 2, 2, 3, 5], 158);
  expect(refusal(() => parseLlama2c(model, 'f'))).toMatch(/expected \d+ bytes/);
  for (let i = 0; i < 10_000; i++) {
    const damagedVocabulary = Buffer.from(vocabulary);
    damagedVocabulary[rng.int(200)] = rng.int(256);
    refusal(() => parseLlama2cTokenizer(damagedVocabulary, 'f'));
    const damagedModel = Buffer.from(model);
    damagedModel[rng.int(28)] = rng.int(256);
    refusal(() => parseLlama2c(damagedModel, 'f'));
  }
  const endless = Buffer.concat([Buffer.from(Int32Array.of(7, 0, 8).buffer), Buffer.alloc(8)]);
  expect(refusal(() => parseLlama2cTokenizer(endless, 'f'))).toBe(
    'f: byte 4: expected a score, a length up to 7 and its bytes for piece 0, got a length of 8',
  );
  expect(refusal(() => parseLlama2cTokenizer(new Uint8Array(3), 'f'))).toBe(
    'f: expected a llama2.c tokenizer, got 3 bytes',
  );
});
