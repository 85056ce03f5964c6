/** @file Prompts and tokens without weights: token ids of transformers' processors, token counts of the originals. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Llava, LlavaProcessor, type ProcessorOptions, type TokenizedPrompt } from '../../../src/index.ts';
import { FOLDER, readGz, readJson } from '../processor-text/goldens.ts';
import { temporaryFolder, tinyImage, writeTinyModel } from './tiny-model.ts';

type Ids = readonly (number | readonly [count: number])[];
interface Golden {
  readonly question: string;
  readonly templates: Record<string, { template: string }>;
  readonly processors: Record<
    string,
    {
      readonly tokenizer: string;
      readonly roles: Record<string, string>;
      readonly template: string;
      readonly pinpoints: readonly (readonly number[])[] | null;
      readonly image: number;
      readonly cases: readonly { sizes: readonly (readonly [number, number])[]; prompt: string; ids: Ids }[];
    }
  >;
}

const golden = readJson<Golden>('prompts.json.gz', FOLDER);
const root = mkdtempSync(join(tmpdir(), 'llava-processor-'));
afterAll(() => rmSync(root, { recursive: true }));

const write = (name: string, content: unknown) => writeFileSync(join(root, name), JSON.stringify(content));
const CLIP = { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2 };
const LANGUAGE = {
  vocab_size: 1000,
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 4096,
};

describe.each(Object.entries(golden.processors))('%s: as the processor of transformers', (_name, model) => {
  let processor: LlavaProcessor;
  beforeAll(() => {
    writeFileSync(join(root, 'tokenizer.json'), readGz(`json-${model.tokenizer}.tokenizer.json.gz`));
    write('tokenizer_config.json', model.roles);
    writeFileSync(join(root, 'chat_template.jinja'), golden.templates[model.template]!.template);
    write('config.json', {
      model_type: model.pinpoints ? 'llava_next' : 'llava',
      image_token_index: model.image,
      vision_config: { ...CLIP, image_size: 28, patch_size: 7 },
      text_config: { model_type: 'llama', ...LANGUAGE },
      ...(model.pinpoints && { image_grid_pinpoints: model.pinpoints }),
    });
    processor = LlavaProcessor.open(root);
  });

  test.each(model.cases)('$sizes', async ({ sizes, prompt, ids }) => {
    const images = sizes.map(([width, height]) => ({ width, height }));
    const tokenized = await processor.tokenize(golden.question, { images });
    expect(tokenized.prompt).toBe(prompt);
    expect(tokenized.ids).toEqual(ids.flatMap(id => (typeof id === 'number' ? id : Array(id[0]).fill(model.image))));
    expect(tokenized.images.map(image => [image.tokens])).toEqual(ids.filter(id => typeof id !== 'number'));
    for (const { start, tokens } of tokenized.images) {
      expect(new Set(tokenized.ids.slice(start, start + tokens))).toEqual(new Set([model.image]));
      expect(tokenized.ids[start - 1]).not.toBe(model.image);
    }
    expect(await processor.countTokens(golden.question, { images })).toBe(tokenized.ids.length);
  });
});

describe('original repositories', () => {
  const pinpoints = [
    [336, 672],
    [672, 336],
    [672, 672],
    [1008, 336],
    [336, 1008],
  ];
  const tower = { mm_vision_tower: 'openai/clip-vit-large-patch14-336', mm_projector_type: 'mlp2x_gelu' };
  const next = { image_aspect_ratio: 'anyres', mm_patch_merge_type: 'spatial_unpad', image_grid_pinpoints: pinpoints };

  async function tokens(json: object, size: readonly [number, number], options: ProcessorOptions = {}) {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, 'tokenizer.model'), readGz('sp-bpe-llama.model.gz'));
    writeFileSync(
      join(folder.path, 'config.json'),
      JSON.stringify({ model_type: 'llava_llama', ...LANGUAGE, ...json }),
    );
    if ('mm_use_im_start_end' in json) {
      const added = { '<im_start>': 900, '<im_end>': 901 };
      writeFileSync(join(folder.path, 'added_tokens.json'), JSON.stringify(added));
    }
    const [width, height] = size;
    return LlavaProcessor.open(folder.path, options).tokenize('Why?', { images: [{ width, height }] });
  }
  const facts = ({ images: [image] }: TokenizedPrompt) => [...image!.grid, image!.tiles, image!.tokens];

  test('v1.5: one square, -200 at its positions', async () => {
    const tokenized = await tokens({ ...tower, _name_or_path: 'llava-v1.5-7b' }, [640, 480]);
    expect(facts(tokenized)).toEqual([1, 1, 1, 576]);
    expect(tokenized.ids.filter(id => id === -200)).toHaveLength(576);
    expect(tokenized.prompt).toMatch(/human's questions\. USER: <image>\nWhy\? ASSISTANT:$/);
  });

  test.each([
    [[300, 200], 976, 1464],
    [[640, 480], 2340, 2340],
    [[480, 640], 2352, 2352],
    [[1024, 899], 2634, 2634],
    [[748, 352], 1800, 1848],
    [[4000, 100], 722, 722],
    [[7, 1000], 648, 648],
  ] as const)('v1.6: %j takes %i tokens, by the rules of Hugging Face %i', async (size, original, hf) => {
    const model = { ...tower, ...next, _name_or_path: 'llava-v1.6-vicuna-7b' };
    expect((await tokens(model, size)).imageTokens).toBe(original);
    expect((await tokens(model, size, { compat: 'hf' })).imageTokens).toBe(hf);
  });

  test('v1 with start and end tokens, LLaVA-Med with the image last', async () => {
    const marked = { ...tower, mm_use_im_start_end: true };
    const v1 = await tokens({ ...marked, _name_or_path: 'LLaVA-7b-v0' }, [10, 10]);
    expect(v1.prompt).toContain('###Human: <im_start><image><im_end>\nWhy?###Assistant:');
    const [image] = v1.images;
    expect([v1.ids[image!.start - 1], v1.ids[image!.start + image!.tokens]]).toEqual([900, 901]);
    const med = await tokens({ ...marked, _name_or_path: 'llava_med_in_text_60k' }, [10, 10]);
    expect(med.prompt).toMatch(/###Human: Why\?\n<im_start><image><im_end>###Assistant:$/);
  });
});

test('a loaded model tells the same as its processor', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  using model = await Llava.load(folder.path, { threads: 1 });
  const processor = LlavaProcessor.open(folder.path);
  const messages = [
    { role: 'user', content: 'what is <image> this', images: [tinyImage(1)] },
    { role: 'assistant', content: 'a cat' },
    { role: 'user', content: 'and in this', images: [tinyImage(2)] },
  ] as const;
  const options = { system: 'one two' };
  const tokenized = await processor.tokenize(messages, options);
  expect(await model.tokenize(messages, options)).toEqual(tokenized);
  expect(tokenized.prompt).toBe(
    'one two USER: what is <image> this ASSISTANT: a cat</s>USER: <image>\nand in this ASSISTANT:',
  );
  expect(tokenized.images.map(image => image.tokens)).toEqual([9, 9]);
  expect(processor.token(tokenized.ids[tokenized.images[1]!.start]!)).toBe('<image>');
  expect([processor.template, processor.contextLength, processor.name]).toEqual(['v1', 640, model.name]);
  const usage = await model.answer('and in this', { image: tinyImage(2), maxTokens: 1 });
  const question = await model.tokenize('and in this', { images: [tinyImage(2)] });
  expect(usage.usage).toMatchObject({ promptTokens: question.ids.length, imageTokens: question.imageTokens });
});

test('what cannot be is refused', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const processor = LlavaProcessor.open(folder.path);
  const ask = (content: string, images: object[]) => processor.tokenize(content, { images: images as never });
  await expect(ask('Q', [{ width: 0, height: 5 }])).rejects.toThrow(
    'image: expected a size in whole pixels, got 0 × 5',
  );
  await expect(ask('<image> <image>', [{ width: 5, height: 5 }])).rejects.toThrow('got 2 marks and 1 images');
  await expect(processor.tokenize('Q', { image: 'x' } as never)).rejects.toThrow('image (did you mean images?)');
  expect(() => LlavaProcessor.open(folder.path, { tempalte: 'v1' } as never)).toThrow('did you mean template?');
});
