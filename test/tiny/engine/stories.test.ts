/** @file A real model: stories260K of llama2.c tells its published story, from a Hugging Face folder made of its files. */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { collectAnswer, Llava } from '../../../src/engine/index.ts';
import { readLlama2c, saveWeights, tensorSource } from '../../../src/weights/index.ts';
import { temporaryFolder } from './tiny-model.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/weights/stories260K');

test('200 greedy tokens', async () => {
  const { story, steps } = JSON.parse(readFileSync(join(GOLDEN, 'story.json'), 'utf8'));
  using folder = temporaryFolder();
  const { config, tensors } = readLlama2c(join(GOLDEN, 'stories260K.bin'));
  await saveWeights(
    folder.path,
    Array.from(tensors, ([name, tensor]) => tensorSource(name, tensor)),
  );
  writeFileSync(join(folder.path, 'config.json'), JSON.stringify(config));
  copyFileSync(join(GOLDEN, 'tok512.bin'), join(folder.path, 'tokenizer.bin'));
  await using model = await Llava.load(folder.path, { threads: 1 });
  const answer = await collectAnswer(model.complete('', { maxTokens: steps }));
  expect(answer.text).toBe(story);
  expect(answer.finishReason).toBe('length');
});
