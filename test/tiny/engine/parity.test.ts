/**
 * @file Answers against transformers: published layouts loaded from disk, projected features and the logits of every
 * position within 1e-5, 64 greedy tokens the same.
 */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type HostTensor, hostTensor } from '../../../src/core/index.ts';
import {
  encodableImage,
  generateTokens,
  Llava,
  type LlavaModel,
  loadModel,
  type SequenceContent,
} from '../../../src/engine/index.ts';
import { imageLayout } from '../../../src/models/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { relativeError, type TemporaryFolder, temporaryFolder } from './tiny-model.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/models');
const TOLERANCE = 1e-5;

interface GoldenCase {
  readonly greedy: number[];
  readonly prompt: string;
  readonly text: string;
}

interface Golden {
  readonly cases: Record<string, GoldenCase>;
  readonly question: string;
  readonly image: string;
}

const readGolden = (folder: string): Golden => JSON.parse(readFileSync(join(GOLDEN, folder, 'golden.json'), 'utf8'));

/** Tensors of a case by name, as far as there are any. */
function goldenTensors(folder: string, name: string): (point: string) => HostTensor | undefined {
  const { entries } = openSafetensors(join(GOLDEN, folder, 'golden.safetensors'));
  return point => {
    const entry = entries.get(`${name}.${point}`);
    return entry && readTensor(entry);
  };
}

/** A copy of the model with a tokenizer, which those that were made for their weights alone lack. */
function withTokenizer(folder: string): TemporaryFolder {
  const copy = temporaryFolder();
  cpSync(join(GOLDEN, folder), copy.path, { recursive: true });
  const tokenizer = { model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, added_tokens: [] };
  writeFileSync(join(copy.path, 'tokenizer.json'), JSON.stringify(tokenizer));
  return copy;
}

/** The golden's expanded prompt, with features computed from its pixels. */
async function contentOf(model: LlavaModel, tensor: ReturnType<typeof goldenTensors>): Promise<SequenceContent> {
  const ids = Array.from(tensor('input_ids')!.data, Number);
  const pixels = tensor('pixel_values');
  if (!pixels || model.config.modelType !== 'llava') return { ids, images: [] };
  const [count, ...shape] = pixels.shape as [number, ...number[]];
  const size = pixels.data.length / count;
  const layout = imageLayout(model.config, { width: 1, height: 1 });
  const images = Array.from({ length: count }, (_, n) => {
    const one = hostTensor('f32', [1, ...shape], pixels.data.slice(n * size, (n + 1) * size));
    return encodableImage({ pixels: one, layout });
  });
  const features = await model.encodeImages(images);
  const { imageTokenId } = model.config;
  const positions = ids.flatMap((id, i) => (id === imageTokenId ? [i] : []));
  const starts = positions.filter((_, k) => k % features[0]!.rows === 0);
  return {
    ids: ids.map(id => (id === imageTokenId ? 0 : id)),
    images: starts.map((start, i) => ({ start, features: features[i]! })),
  };
}

async function checkCase(model: LlavaModel, golden: string, name: string, tolerance = TOLERANCE): Promise<void> {
  const tensor = goldenTensors(golden, name);
  const content = await contentOf(model, tensor);
  const projected = tensor('projected');
  if (projected) {
    const ours = content.images.flatMap(({ features }) => [...features.data]);
    expect(relativeError(ours, projected.data as Float32Array)).toBeLessThan(tolerance);
  }
  using sequence = model.sequence(content.ids.length + 64);
  await checkLogits(sequence, content, tensor('logits')!, tolerance);
  const tokens = [];
  const logits = await sequence.read(content);
  for await (const id of generateTokens(sequence, logits, new Set(), [], { maxTokens: 64 })) tokens.push(id);
  expect(tokens).toEqual(readGolden(golden).cases[name]!.greedy);
}

/** Logits of each position that the golden has, read by growing beginnings: every one but the first hits the cache. */
async function checkLogits(
  sequence: ReturnType<LlavaModel['sequence']>,
  content: SequenceContent,
  logits: HostTensor,
  tolerance: number,
): Promise<void> {
  const [, positions, vocabulary] = logits.shape as [number, number, number];
  const first = content.ids.length - positions;
  for (let i = 0; i < positions; i++) {
    const ids = content.ids.slice(0, first + i + 1);
    const images = content.images.filter(({ start }) => start < ids.length);
    const cut = images.some(({ start, features }) => start + features.rows > ids.length);
    if (cut) continue;
    const ours = await sequence.read({ ids, images });
    const theirs = logits.data.slice(i * vocabulary, (i + 1) * vocabulary) as Float32Array;
    expect(relativeError(ours, theirs)).toBeLessThan(tolerance);
  }
}

describe.each([
  'llava-1.5',
  'llava-1.5-full-gqa',
  'llava-1.5-odd',
  'llava-v1-linear',
  'llava-siglip-qwen2',
  'llava-clip-layers-mistral',
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
  ])('%s', async (name, template) => {
    const { cases, question, image } = readGolden('end-to-end');
    const folder = join(GOLDEN, 'end-to-end');
    await using model = await Llava.load(folder, { threads: 1, template });
    const answer = await model.answer(question, { image: join(folder, image), maxTokens: 64 });
    expect(answer.text).toBe(cases[name]!.text.trim());
    expect(answer.finishReason).toBe('length');
    expect(answer.usage).toMatchObject({ imageTokens: 16, completionTokens: 64 });
  });

  test('without a name that says otherwise, the prompt is that of Hugging Face', async () => {
    await using model = await Llava.load(join(GOLDEN, 'end-to-end'), { threads: 1 });
    expect(model.template).toBe('hf_llava_1_5');
  });
});
