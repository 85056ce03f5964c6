/** @file A model beside its rounded copy: predictions of a text, and answers. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Llava, loadModel, predictions, quantizeModel } from '../../../src/engine/index.ts';
import { compareModels, divergence, logSumExp, readQuestions, surprise } from '../../../src/eval/index.ts';
import { relativeError, temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';

const root = temporaryFolder();
const source = join(root.path, 'source');
const copy = join(root.path, 'copy');
const TEXT = 'what is in this picture a cat and a dog on the mat yes no one two three';

beforeAll(async () => {
  await writeTinyModel(source);
  await quantizeModel(source, copy, { quantization: { format: 'int4', exceptions: [] }, calibration: false });
});

afterAll(() => root[Symbol.dispose]());

describe('measures of logits', () => {
  const logits = Float32Array.of(0, Math.log(3), -1000);

  test('log Σ exp, also of large numbers', () => {
    expect(logSumExp(logits)).toBeCloseTo(Math.log(4), 6);
    expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.log(2), 3);
  });

  test('surprise and divergence', () => {
    expect(surprise(logits, 1)).toBeCloseTo(Math.log(4 / 3), 6);
    expect(divergence(logits, logits)).toBeCloseTo(0, 6);
    const fair = Float32Array.of(5, 5, -1000);
    expect(divergence(logits, fair)).toBeCloseTo(0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 6);
  });
});

describe('predictions', () => {
  test('are the logits of reading token by token, anew in each window', async () => {
    using model = await loadModel(source, { threads: 1 });
    const ids = model.processor.tokenizer.encode(TEXT, { addBos: false }).slice(0, 13);
    const begin = model.processor.tokenizer.encode('');
    const windows = [0, 6, 12].map(start => [...begin, ...ids.slice(start, start + 6)]);
    const prefixes = windows.flatMap(tokens => tokens.slice(1).map((_, i) => tokens.slice(0, i + 2)));
    const got: { id: number; logits: Float32Array }[] = [];
    for await (const { id, logits } of predictions(model, TEXT, { window: 6 + begin.length, maxTokens: 13 })) {
      got.push({ id, logits: logits.slice() });
    }
    expect(got.map(({ id }) => id)).toEqual(prefixes.map(tokens => tokens.at(-1)));
    for (const [i, { logits }] of got.entries()) {
      using sequence = model.sequence(8);
      const expected = await sequence.read({ ids: prefixes[i]!.slice(0, -1), images: [] });
      expect(relativeError(logits, expected)).toBeLessThan(1e-4);
    }
  });

  test('refuses a text of too few tokens', async () => {
    using model = await loadModel(source, { threads: 1 });
    await expect(predictions(model, '').next()).rejects.toThrow('text: expected at least');
  });
});

describe('compareModels', () => {
  const load = (folder: string) => () => Llava.load(folder, { threads: 1 });
  const questions = [{ question: 'what is this', images: [] }];
  const compare = (other: string) =>
    compareModels({ load: [load(source), load(other)], text: TEXT, maxTokens: 100, questions });

  test('with itself: nothing has changed', async () => {
    const { perplexity, ...rest } = await compare(source);
    expect(rest).toMatchObject({ sameGuess: 1, asked: 1, changed: [] });
    expect(rest.divergence).toBeCloseTo(0, 6);
    expect(perplexity.other).toBe(perplexity.original);
  });

  test('with a copy of 4 bits: something has', async () => {
    const { divergence: distance, sameGuess, tokens, perplexity } = await compare(copy);
    expect(distance).toBeGreaterThan(0.01);
    expect(sameGuess).toBeLessThan(1);
    expect(tokens).toBeGreaterThan(10);
    expect(perplexity.other).not.toBe(perplexity.original);
  });
});

describe('questions of a file', () => {
  const file = join(root.path, 'questions.jsonl');

  test('rows with and without a picture', async () => {
    writeFileSync(
      file,
      '{"question":"<image>\\nwhat?","image":"a.png"}\n{"question":"<image>\\nand this?","answer":"x"}\n',
    );
    expect(await readQuestions(file)).toEqual([
      { question: '<image>\nwhat?', images: [join(root.path, 'a.png')] },
      { question: 'and this?', images: [] },
    ]);
  });

  test.each([
    ['{"answer":"x"}', 'row 1: expected a question, got undefined'],
    ['{"question":"x","image":3}', 'row 1: expected image to be a path, got number'],
    ['[]', 'expected rows with a question, got none'],
  ])('refuses %s', async (text, error) => {
    writeFileSync(file, text);
    await expect(readQuestions(file)).rejects.toThrow(error);
  });
});
