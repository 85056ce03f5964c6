/** @file Which template and encoding a model is asked with: by its files, its name, and what the caller wants. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chooseEncoding, chooseTemplate, type PromptOptions } from '../../../src/engine/choose-template.ts';
import { parseModelConfig } from '../../../src/models/index.ts';
import {
  checkpointTemplate,
  JinjaTemplate,
  type Tokenizer,
  tokenizerFromJson,
  trainBpe,
} from '../../../src/processor/index.ts';
import { readJson } from '../processor-text/goldens.ts';
import { TINY_JSON } from './tiny-model.ts';

const withImage = tokenizerFromJson(readJson('json-llama.tokenizer.json.gz'), { roles: { bos: '<s>', eos: '</s>' } });
const withoutImage = trainBpe(['some words'], { vocabSize: 260, specialTokens: [] }).tokenizer;

const HF = { ...TINY_JSON, conversation_template: undefined };
const NEXT = { ...HF, model_type: 'llava_next', image_grid_pinpoints: [[24, 48]] };
const LANGUAGE = { model_type: 'llama', ...HF.text_config };
const ORIGINAL = {
  ...LANGUAGE,
  model_type: 'llava_llama',
  mm_vision_tower: 'openai/clip-vit-large-patch14',
  mm_projector_type: 'mlp2x_gelu',
};

const folder = mkdtempSync(join(tmpdir(), 'llava-template-'));
const jinjaFolder = mkdtempSync(join(tmpdir(), 'llava-template-'));
const file = join(jinjaFolder, 'chat_template.jinja');
beforeAll(() => writeFileSync(file, 'ASK {{ messages[0].content }}'));
afterAll(() => {
  for (const path of [folder, jinjaFolder]) rmSync(path, { recursive: true });
});

interface Model {
  readonly json: object;
  readonly name?: string;
  readonly stated?: string;
  readonly jinja?: boolean;
  readonly tokenizer?: Tokenizer;
}

function choice(
  { json, name = 'model', stated, jinja = false, tokenizer }: Model,
  options: PromptOptions = {},
): string {
  const isOriginal = json === ORIGINAL;
  const config = parseModelConfig(json, 'config.json');
  if (config.modelType === 'clip') throw new Error('expected a model that answers');
  const chatTemplate = (used: Tokenizer) => checkpointTemplate([folder, ...(jinja ? [jinjaFolder] : [])], used);
  const facts = { name, template: stated, config, chatTemplate };
  const used = tokenizer ?? (isOriginal ? withoutImage : withImage);
  const template = chooseTemplate(facts, used, options);
  return `${template.name}, ${chooseEncoding(facts, used, template, options)}`;
}

describe('an original repository', () => {
  test.each([
    ['liuhaotian/llava-v1.5-7b', 'llava_v1'],
    ['llava-v1.6-vicuna-13b', 'llava_v1'],
    ['llava-v1.6-mistral-7b', 'mistral_instruct'],
    ['llava-v1.6-34b', 'chatml_direct'],
    ['llava-llama-2-13b-chat-lightning-preview', 'llava_llama_2'],
    ['LLaVA-Lightning-MPT-7B-preview', 'mpt'],
    ['LLaVA-7b-delta-v0', 'llava_v0'],
    ['llava_med_in_text_60k_ckpt2_delta', 'llava_med'],
    ['microsoft/llava-med-v1.5-mistral-7b', 'mistral_instruct'],
    ['lmms-lab/llama3-llava-next-8b', 'llava_llama_3'],
  ])('%s is asked as LLaVA asks it: %s', (name, template) => {
    expect(choice({ json: ORIGINAL, name })).toBe(`${template}, llava`);
  });

  test('with Qwen as its language model is asked as LLaVA-NeXT says', () => {
    const json = { ...ORIGINAL, model_type: 'llava_qwen' };
    expect(choice({ json, name: 'lmms-lab/llava-next-72b', tokenizer: withoutImage })).toBe('qwen_1_5, llava');
  });

  test('brings the chat template of its language model alone, which is not used', () => {
    expect(choice({ json: ORIGINAL, name: 'llava-v1.5-7b', jinja: true })).toBe('llava_v1, llava');
  });

  test("with Hugging Face's rules it gets the prompt that llava-hf publishes", () => {
    const hf = { compat: 'hf' } as const;
    expect(choice({ json: ORIGINAL, name: 'llava-v1.5-7b' }, hf)).toBe('hf_llava_1_5, llava');
    expect(choice({ json: ORIGINAL, name: 'llava-v1.6-vicuna-7b' }, hf)).toBe('hf_llava_1_6_vicuna, llava');
    expect(choice({ json: ORIGINAL, name: 'llava-v1.6-34b', tokenizer: withImage }, hf)).toBe('hf_llava_1_6_34b, hf');
  });
});

describe("Hugging Face's layout", () => {
  test('asks with its own template', () => {
    expect(choice({ json: HF, name: 'llava-v1.6-mistral-7b-hf', jinja: true })).toBe('chat_template.jinja, hf');
  });

  test.each([
    ['llava-hf/llava-1.5-7b-hf', HF, 'hf_llava_1_5'],
    ['my-finetune', HF, 'hf_llava_1_5'],
    ['my-finetune', NEXT, 'hf_llava_1_6_vicuna'],
    ['llava-hf/llava-v1.6-vicuna-7b-hf', NEXT, 'hf_llava_1_6_vicuna'],
    ['llava-hf/llava-v1.6-mistral-7b-hf', NEXT, 'hf_llava_1_6_mistral'],
    ['llava-hf/llava-v1.6-34b-hf', NEXT, 'hf_llava_1_6_34b'],
    ['llava-hf/llama3-llava-next-8b-hf', NEXT, 'hf_llava_next_llama_3'],
    ['llava-hf/llava-next-72b-hf', NEXT, 'hf_llava_next_qwen'],
  ])('without one, %s is asked as published', (name, json, template) => {
    expect(choice({ json, name })).toBe(`${template}, hf`);
  });

  test.each([
    ['llama', 'hf_llava_1_5'],
    ['mistral', 'hf_llava_1_6_mistral'],
    ['qwen2', 'hf_llava_next_qwen'],
  ])('without template and name it goes by the language model: %s', (type, template) => {
    const json = { ...HF, text_config: { ...HF.text_config, model_type: type } };
    expect(choice({ json })).toBe(`${template}, hf`);
  });

  test("with the original's rules it is asked as the original", () => {
    const original = { compat: 'original' } as const;
    expect(choice({ json: HF, name: 'llava-v1.5-7b-hf', jinja: true }, original)).toBe('llava_v1, llava');
    expect(choice({ json: NEXT, name: 'llava-v1.6-mistral-7b-hf' }, original)).toBe('mistral_instruct, llava');
  });
});

test('what config.json states goes before all of that, and what the caller wants before it', () => {
  const stated = { json: HF, stated: 'v1_brief', jinja: true };
  expect(choice(stated)).toBe('v1_brief, hf');
  expect(choice(stated, { compat: 'original' })).toBe('v1_brief, llava');
  expect(choice(stated, { template: 'v1' })).toBe('v1, hf');
  expect(choice({ json: HF, jinja: true }, { template: 'v1' })).toBe('v1, llava');
  expect(choice({ json: HF, jinja: true }, { template: 'v1', compat: 'hf' })).toBe('v1, hf');
  expect(choice({ json: HF }, { template: file })).toBe('chat_template.jinja, hf');
  expect(choice({ json: ORIGINAL, name: 'llava-v1.5-7b' }, { template: file })).toBe('chat_template.jinja, llava');
  expect(() => choice(stated, { template: 'v11' })).toThrow(
    'template: expected a known name (did you mean v1?), got v11',
  );
});

test('a language model alone', () => {
  expect(choice({ json: LANGUAGE })).toBe('vicuna_v1, llava');
  expect(choice({ json: LANGUAGE, name: 'Llama-2-7b-chat' })).toBe('llama_2, llava');
  expect(choice({ json: LANGUAGE, jinja: true })).toBe('chat_template.jinja, hf');
  expect(choice({ json: LANGUAGE, jinja: true }, { compat: 'original' })).toBe('vicuna_v1, llava');
});

test('a checkpoint template is one of its own kind', () => {
  const config = parseModelConfig(HF, 'config.json');
  if (config.modelType !== 'llava') throw new Error('expected a LLaVA');
  const chatTemplate = (used: Tokenizer) => checkpointTemplate([jinjaFolder], used);
  const facts = { name: 'model', template: undefined, config, chatTemplate };
  const template = chooseTemplate(facts, withImage);
  expect(template).toBeInstanceOf(JinjaTemplate);
  expect((template as JinjaTemplate).render([{ role: 'user', text: 'it', imageCount: 1 }])).toBe('ASK <image>\nit');
});
