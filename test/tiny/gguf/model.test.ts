/**
 * @file Models in GGUF form: quantised files of the reference's writer answer as `transformers` does with the same files, and
 * what is written from a folder is read back as that folder, bit for bit.
 */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { castFloat, tensorBytes } from '../../../src/core/index.ts';
import { describeModel, LlavaProcessor, loadModel, openModelFolder, writeGgufPair } from '../../../src/engine/index.ts';
import type { LlavaConfig } from '../../../src/models/index.ts';
import { openGguf, readTensor } from '../../../src/weights/index.ts';
import { relativeError } from '../engine/tiny-model.ts';
import { refusal, rejection, temporaryFolder } from '../weights/helpers.ts';
import { contentOf, floatsOf, GOLDEN, golden, greedy } from './helpers.ts';

const MODELS = join(import.meta.dirname, '../../golden/models');
const END_TO_END = join(MODELS, 'end-to-end');

describe('as transformers reads the same file', () => {
  test.each(['llama', 'qwen2'] as const)('%s', async name => {
    const { ids, logits, greedy: expected } = golden.models[name];
    using model = await loadModel(join(GOLDEN, `${name}.gguf`), { template: 'vicuna_v1' });
    const got = await greedy(model, { ids, images: [] }, expected.length);
    expect(relativeError(got.logits, floatsOf(logits))).toBeLessThan(1e-5);
    expect(got.ids).toEqual(expected);
  });
});

/** A golden model with the tokenizer of another, as those made for their weights alone have none. */
function withTokenizer(name: string): string {
  const folder = temporaryFolder();
  cpSync(join(MODELS, name), folder, { recursive: true });
  cpSync(join(END_TO_END, 'tokenizer.json'), join(folder, 'tokenizer.json'));
  return folder;
}

test.each(['llama', 'llama-tied', 'llava-1.5', 'end-to-end'])(
  '%s in f32, written and read: the same configuration and bits',
  async name => {
    const source = openModelFolder(withTokenizer(name));
    const folder = temporaryFolder();
    await writeGgufPair(source, folder, { dtype: 'f32' });
    const read = openModelFolder(folder);
    expect({ ...read.language, extra: undefined }).toEqual({ ...source.language, extra: undefined });
    expect(read.image?.mode).toBe(source.image?.mode);
    expect([...read.weights.keys()].sort()).toEqual(usedNames(source.weights));
    for (const [ours, entry] of read.weights) {
      const [got, wanted] = [readTensor(entry), readTensor(source.weights.get(ours)!)];
      expect(got.shape, ours).toEqual(wanted.shape);
      expect(Buffer.compare(tensorBytes(got), tensorBytes(wanted)), ours).toBe(0);
    }
    if (read.config.modelType !== 'llava' || source.config.modelType !== 'llava') return;
    expect({ ...read.config.vision, numHiddenLayers: 0 }).toEqual({ ...source.config.vision, numHiddenLayers: 0 });
    expect(read.config.projectorType).toBe(source.config.projectorType);
  },
);

test('a language model alone is asked with the template among its metadata', async () => {
  const language = async (chatTemplate: string): Promise<string> => {
    const folder = temporaryFolder();
    await writeGgufPair(openModelFolder(END_TO_END), folder, { dtype: 'f16', chatTemplate });
    return join(folder, 'model-f16.gguf');
  };
  const file = await language('{% for m in messages %}{{ m.role }}> {{ m.content }}{{ eos_token }}{% endfor %}');
  const processor = LlavaProcessor.open(file);
  expect(processor.template).toBe('tokenizer.chat_template');
  expect((await processor.tokenize('Why?')).prompt).toBe('user> Why?</s>');
  const broken = await language('{% for %}');
  expect(() => LlavaProcessor.open(broken)).toThrow(
    `${broken}: tokenizer.chat_template: expected a chat template that renders, got `,
  );
});

test('in f16: matrices rounded, vectors kept', async () => {
  const source = openModelFolder(END_TO_END);
  const folder = temporaryFolder();
  await writeGgufPair(source, folder);
  for (const [ours, entry] of openModelFolder(folder).weights) {
    const wanted = readTensor(source.weights.get(ours)!);
    const rounded = castFloat(wanted, wanted.shape.length < 2 ? 'f32' : 'f16');
    expect(Buffer.compare(tensorBytes(readTensor(entry)), tensorBytes(rounded)), ours).toBe(0);
  }
});

/** What is written: without blocks and norms of the tower that the features do not need. */
function usedNames(weights: ReadonlyMap<string, unknown>): string[] {
  const layers = [...weights.keys()].flatMap(name => /^vision_tower.*\.layers\.(\d+)\./.exec(name)?.[1] ?? []);
  const last = Math.max(-1, ...layers.map(Number));
  const unused = RegExp(String.raw`post_layernorm|^vision_tower.*\.layers\.${last}\.`);
  return [...weights.keys()].filter(name => !unused.test(name)).sort();
}

test('a LLaVA answers about a picture as the folder that it was written from', async () => {
  const folder = temporaryFolder();
  await writeGgufPair(openModelFolder(END_TO_END), folder, { dtype: 'f32' });
  const answers = [];
  for (const path of [END_TO_END, folder]) {
    using model = await loadModel(path, { template: 'hf_llava_1_5' });
    const content = await contentOf(model, 'USER: <image>\nWhat? ASSISTANT:', [join(END_TO_END, 'image.png')]);
    answers.push({ prompt: content.ids, ...(await greedy(model, content, 32)) });
  }
  expect(answers[1]).toEqual(answers[0]);
});

test('a LLaVA-1.6: grids, merging and the newline vector come through, and so do the answers', async () => {
  const next = join(MODELS, 'llava-next');
  const folder = temporaryFolder();
  await writeGgufPair(openModelFolder(next), folder, { dtype: 'f32' });
  const [source, read] = [openModelFolder(next), openModelFolder(folder)];
  const rules = ({ config }: typeof source) => {
    expect(config.modelType).toBe('llava');
    const { anyres, merge, compat, visionFeatureSelect } = config as LlavaConfig;
    return { anyres, merge, compat, visionFeatureSelect };
  };
  expect(rules(read)).toEqual(rules(source));
  const newline = (weights: typeof source.weights) => readTensor(weights.get('image_newline')!).data;
  expect(newline(read.weights)).toEqual(newline(source.weights));
  const answers = [];
  for (const path of [next, folder]) {
    using model = await loadModel(path, { template: 'hf_llava_1_6_vicuna' });
    const content = await contentOf(model, 'USER: <image>\nWhat? ASSISTANT:', [join(next, 'image.png')]);
    answers.push({ prompt: content.ids, ...(await greedy(model, content, 32)) });
  }
  expect(answers[1]).toEqual(answers[0]);
});

test('q8_0 and q4_0: matrices in blocks, rows of odd length in f16', async () => {
  const folder = temporaryFolder();
  await writeGgufPair(openModelFolder(END_TO_END), folder, { dtype: 'q8_0' });
  const { tensors, fields } = openGguf(join(folder, 'model-q8_0.gguf'));
  const types = Object.fromEntries(tensors.map(({ name, type }) => [name, type.name]));
  expect(types['blk.0.attn_q.weight']).toBe('Q8_0');
  expect(types['blk.0.attn_norm.weight']).toBe('F32');
  expect([fields.count('general.file_type'), fields.count('general.quantization_version')]).toEqual([7, 2]);
  const { problems, parts } = describeModel(folder);
  expect(problems).toEqual([]);
  expect(parts.find(part => part.name === 'language model')!.bytes).toBeLessThan(40_000);
});

describe('which files are a model', () => {
  const written = async (): Promise<string> => {
    const folder = temporaryFolder();
    await writeGgufPair(openModelFolder(END_TO_END), folder);
    return folder;
  };

  test('a file is a language model alone, with mmproj a LLaVA', async () => {
    const folder = await written();
    const file = join(folder, 'model-f16.gguf');
    expect(openModelFolder(file).config.modelType).toBe('llama');
    expect(openModelFolder(file, { mmproj: join(folder, 'mmproj-f16.gguf') }).config.modelType).toBe('llava');
    expect(refusal(() => openModelFolder(file, { mmproj: file }))).toBe(
      `${file}: expected the vision half of a LLaVA (general.architecture clip), got llama`,
    );
    expect(refusal(() => openModelFolder(join(folder, 'mmproj-f16.gguf')))).toBe(
      `${join(folder, 'mmproj-f16.gguf')}: expected general.architecture llama or qwen2 for a language model, got clip`,
    );
  });

  test('two language models in a folder are one too many; mmproj belongs to GGUF', async () => {
    const folder = await written();
    cpSync(join(folder, 'model-f16.gguf'), join(folder, 'other.gguf'));
    expect(refusal(() => openModelFolder(folder))).toBe(
      `${folder}: expected one .gguf file, and at most one mmproj*.gguf, got mmproj-f16.gguf, model-f16.gguf, other.gguf`,
    );
    expect(refusal(() => openModelFolder(END_TO_END, { mmproj: 'x.gguf' }))).toBe(
      `option mmproj: expected a language model in GGUF form beside x.gguf, got ${END_TO_END}`,
    );
  });
});

test('what llama.cpp has no form for is refused before anything is written', async () => {
  const folder = withTokenizer('llava-v1-linear');
  const out = temporaryFolder();
  expect(await rejection(writeGgufPair(openModelFolder(folder), out))).toBe(
    `${folder}: expected a projector mlp2x_gelu for GGUF, got linear`,
  );
  expect(await rejection(writeGgufPair(openModelFolder(END_TO_END), out, { dtype: 'q9' as never }))).toBe(
    'option dtype: expected f32, f16, q8_0, q4_0, got q9',
  );
  const signal = AbortSignal.abort();
  const file = join(out, 'model-f16.gguf');
  expect(await rejection(writeGgufPair(openModelFolder(END_TO_END), out, { signal }))).toBe(`${file}: aborted`);
  expect(refusal(() => openGguf(file))).toMatch(/ENOENT/);
});
