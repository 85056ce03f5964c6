/** @file Guessed tokens: the same answers in fewer runs, and a sequence that holds what was kept and no more. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GenerationOptions, generateTokens, type LlavaModel, loadModel } from '../../../src/engine/index.ts';
import { lookUp, SpeculativeReader } from '../../../src/engine/speculation.ts';
import { relativeError, temporaryFolder, writeTinyModel } from './tiny-model.ts';

const folder = temporaryFolder();
let model: LlavaModel;

beforeAll(async () => {
  await writeTinyModel(folder.path);
  model = await loadModel(folder.path, { threads: 1 });
});

afterAll(() => {
  model.dispose();
  folder[Symbol.dispose]();
});

describe('lookUp', () => {
  test.each([
    ['what followed the latest run of three', [1, 2, 3, 4, 9, 1, 2, 3, 5, 1, 2, 3], [5, 1]],
    ['of two where there is none of three', [7, 2, 3, 8, 6, 9, 2, 3], [8, 6]],
    ['a run that overlaps its own repetition', [5, 5, 5, 5], [5]],
    ['nothing where nothing recurs', [1, 2, 3, 4], []],
    ['nothing for one token', [1, 2, 1], []],
    ['nothing in an empty text', [], []],
  ])('%s', (_, tokens, expected) => expect(lookUp(tokens, 2)).toEqual(expected));
});

/** The answer to a prompt, and what the sequence holds in the end. */
async function answer(prompt: readonly number[], options: GenerationOptions) {
  using sequence = model.sequence(64);
  const logits = await sequence.read({ ids: prompt, images: [] });
  const ids: number[] = [];
  for await (const id of generateTokens(sequence, logits, new Set(), prompt, options)) ids.push(id);
  return { ids, length: sequence.length, next: (await sequence.append(7)).slice() };
}

/** A prompt that a random model's greedy answer soon repeats itself after. */
const PROMPT = [5, 6, 7, 8, 5, 6, 7];

describe.each([
  ['greedy', {}],
  ['with a repetition penalty', { repetitionPenalty: 1.05 }],
  ['sampled', { temperature: 0.3, seed: 3 }],
  ['sampled from few', { temperature: 1, topK: 5, topP: 0.9, seed: 4 }],
] as const)('%s', (_, sampling) => {
  test.each([1, 4, 16])('%i guesses change nothing', async lookahead => {
    const plain = await answer(PROMPT, { ...sampling, maxTokens: 60 });
    const guessed = await answer(PROMPT, { ...sampling, maxTokens: 60, lookahead });
    expect(guessed.ids).toEqual(plain.ids);
    expect(guessed.length).toBe(plain.length);
    expect(relativeError(guessed.next, plain.next)).toBeLessThan(1e-5);
  });
});

test('right guesses save runs', async () => {
  using sequence = model.sequence(64);
  await sequence.read({ ids: [...PROMPT], images: [] });
  const reader = new SpeculativeReader(sequence, PROMPT, 4);
  // 5 6 7 was followed by 8 5 6 7 before: computed with the 8 at once, then taken one by one.
  const computed: number[] = [];
  for (const id of [8, 5, 6, 7, 8]) {
    await reader.append(id);
    computed.push(sequence.length);
  }
  expect(computed).toEqual([12, 12, 12, 12, 12]);
  reader.settle();
  expect(sequence.length).toBe(PROMPT.length + 5);
});

test('wrong guesses are taken out again', async () => {
  using sequence = model.sequence(64);
  await sequence.read({ ids: [...PROMPT], images: [] });
  const reader = new SpeculativeReader(sequence, PROMPT, 4);
  await reader.append(8);
  const logits = (await reader.append(99)).slice();
  reader.settle();
  expect(sequence.length).toBe(PROMPT.length + 2);
  using alone = model.sequence(64);
  expect(relativeError(logits, await alone.read({ ids: [...PROMPT, 8, 99], images: [] }))).toBeLessThan(1e-5);
});

test('guesses stop at the end of the context', async () => {
  const prompt = Array.from({ length: 630 }, (_, i) => 5 + (i % 3));
  const { ids } = await answerToEnd(prompt, 16);
  expect(ids).toEqual((await answerToEnd(prompt, 0)).ids);
  expect(ids).toHaveLength(11); // the last token needs no position of its own
});

async function answerToEnd(prompt: readonly number[], lookahead: number) {
  using sequence = model.sequence(640);
  const logits = await sequence.read({ ids: prompt, images: [] });
  const ids: number[] = [];
  for await (const id of generateTokens(sequence, logits, new Set(), prompt, { lookahead })) ids.push(id);
  return { ids };
}
