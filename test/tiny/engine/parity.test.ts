/**
 * @file Answers against transformers: published layouts loaded from disk, projected features and the logits of every
 * position within 1e-5, 64 greedy tokens the same.
 */

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Llava, type LlavaModel, loadModel } from '../../../src/engine/index.ts';
import { LLAVA_FAMILIES } from '../models/goldens.ts';
import { checkCase, checkLogits, contentOf, GOLDEN, goldenTensors, readGolden } from './parity.ts';
import { type TemporaryFolder, temporaryFolder } from './tiny-model.ts';

/** A copy of the model with a tokenizer, which those that were made for their weights alone lack. */
function withTokenizer(folder: string): TemporaryFolder {
  const copy = temporaryFolder();
  cpSync(join(GOLDEN, folder), copy.path, { recursive: true });
  const tokenizer = { model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };
  writeFileSync(join(copy.path, 'tokenizer.json'), JSON.stringify(tokenizer));
  return copy;
}

describe.each([
  ...LLAVA_FAMILIES,
  'llama',
  'llama-tied',
  'mistral',
  'qwen2',
  'llama3-rope-biases',
  'linear-rope',
  'dynamic-rope',
])('%s', family => {
  test.each(Object.keys(readGolden(family).cases))('%s', async name => {
    using folder = withTokenizer(family);
    using model = await loadModel(folder.path, { threads: 1 });
    await checkCase(model, family, name);
  });
});

describe('one model in every layout', () => {
  test.each(['hub', 'hf-4.52', 'hf-5', 'hf-5-memory', 'sharded', 'f16', 'bf16'])('%s', async layout => {
    using folder = withTokenizer(`layouts/${layout}`);
    using model = await loadModel(folder.path, { threads: 1 });
    const rounded = layout === 'f16' || layout === 'bf16';
    if (rounded) await checkRounded(model, layout === 'f16' ? 2e-2 : 1e-1);
    else await checkCase(model, 'layouts', 'one_image');
  });
});

/** Weights of 16 bits: the same answer but for rounding. */
async function checkRounded(model: LlavaModel, tolerance: number): Promise<void> {
  const tensor = goldenTensors('layouts', 'one_image');
  const content = await contentOf(model, tensor);
  using sequence = model.sequence(content.ids.length);
  await checkLogits(sequence, content, tensor('logits')!, tolerance);
}

describe('from image file and question to text', () => {
  test.each([
    ['v1', 'v1'],
    ['hf_chat', 'hf_llava_1_5'],
    ['hf_chat', undefined],
  ])('%s with template %s', async (name, template) => {
    const { cases, question, image } = readGolden('end-to-end');
    const folder = join(GOLDEN, 'end-to-end');
    await using model = await Llava.load(folder, { threads: 1, ...(template && { template }) });
    expect(model.template).toBe(template ?? 'chat_template.jinja');
    const answer = await model.answer(question, { image: join(folder, image), maxTokens: 64 });
    expect(answer.text).toBe(cases[name]!.text.trim());
    expect(answer.finishReason).toBe('length');
    expect(answer.usage).toMatchObject({ imageTokens: 16, completionTokens: 64 });
  });
});
