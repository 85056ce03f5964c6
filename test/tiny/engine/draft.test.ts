/** @file A small model that guesses ahead: the same answers, in fewer runs where it guesses well. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Draft } from '../../../src/engine/draft.ts';
import { Llava, type LoadOptions, loadModel } from '../../../src/engine/index.ts';
import { SpeculativeReader } from '../../../src/engine/speculation.ts';
import { saveTokenizer, trainBpe } from '../../../src/processor/index.ts';
import { saveWeights, tensorSource } from '../../../src/weights/index.ts';
import { TINY_JSON, temporaryFolder, tinyImage, tinyWeights, writeTinyModel } from './tiny-model.ts';

const PREFIX = 'language_model.';
const folder = temporaryFolder();
const path = (name: string) => join(folder.path, name);

/** The language model of a tiny LLaVA, alone. */
async function writeLanguageModel(target: string, seed: number, context = 640): Promise<void> {
  await writeTinyModel(target, { weights: tinyWeights(undefined, seed) });
  const weights = Array.from(tinyWeights(undefined, seed)).filter(([name]) => name.startsWith(PREFIX));
  await saveWeights(
    target,
    weights.map(([name, tensor]) => tensorSource(name.slice(PREFIX.length), tensor)),
  );
  const json = { model_type: 'llama', ...TINY_JSON.text_config, max_position_embeddings: context };
  writeFileSync(join(target, 'config.json'), JSON.stringify(json));
}

beforeAll(async () => {
  await writeTinyModel(path('model'));
  await writeLanguageModel(path('twin'), 1);
  await writeLanguageModel(path('stranger'), 2);
  await writeLanguageModel(path('short'), 1, 16);
});
afterAll(() => folder[Symbol.dispose]());

async function answers(options: LoadOptions, generation: object = {}): Promise<string[]> {
  using model = await Llava.load(path('model'), { threads: 1, ...options });
  using conversation = model.chat();
  const asked = { maxTokens: 40, ...generation };
  const first = await conversation.ask('what is in this picture', { image: tinyImage(1), ...asked });
  return [first, await conversation.ask('and what else', asked)];
}

describe.each([
  ['greedy', {}],
  ['sampled', { temperature: 0.4, seed: 5 }],
] as const)('%s', (_name, generation) => {
  test.each(['twin', 'stranger', 'short'])('a conversation is the same with the draft %s', async draft => {
    expect(await answers({ draft: path(draft) }, generation)).toEqual(await answers({}, generation));
  });
});

test('two guesses at once are asked for instead of four', async () => {
  expect(await answers({ draft: path('twin') }, { lookahead: 2 })).toEqual(await answers({}));
});

test('a draft that thinks alike saves runs, and guesses nothing that it is not sure of', async () => {
  using model = await loadModel(path('model'), { threads: 1, draft: path('twin') });
  const prompt = [5, 60, 70, 8, 90];
  using sequence = model.sequence(64);
  using draft = new Draft(model.draft!, 64);
  let logits = await sequence.read({ ids: prompt, images: [] });
  const reader = new SpeculativeReader(sequence, prompt, 4, draft);
  const lengths = new Set<number>();
  for (let i = 0; i < 30; i++) {
    const sure = logits.indexOf(Math.max(...logits));
    logits = await reader.append(sure);
    lengths.add(sequence.length);
  }
  reader.settle();
  expect(sequence.length).toBe(prompt.length + 30);
  expect(lengths.size).toBeLessThan(25); // each length is a run
});

test('image positions and tokens that the draft lacks are no text to it', async () => {
  using model = await loadModel(path('twin'), { threads: 1 });
  using draft = new Draft(model, 64);
  using other = new Draft(model, 64);
  expect(await draft.guess([5, -200, -200, 6, 9999, 7], 8)).toEqual(await other.guess([5, 6, 7], 8));
  expect(await draft.guess([-200], 8)).toEqual([]);
});

test('a draft with other tokens is refused, and both are freed', async () => {
  await writeLanguageModel(path('foreign'), 1);
  await saveTokenizer(path('foreign'), trainBpe(['quite another text', 'with other words'], { vocabSize: 300 }));
  await expect(loadModel(path('model'), { draft: path('foreign') })).rejects.toThrow(
    /^option draft: expected a model with the tokens of model, such as ".*" for \d+, got ".*" from foreign$/,
  );
});

test('a draft that cannot be read is named', async () => {
  await expect(loadModel(path('model'), { draft: path('none') })).rejects.toThrow(/none/);
});
