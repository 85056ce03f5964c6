/**
 * @file The tiny LLaVA-1.6 of `scripts/make_next_goldens.py`, and the checks of a loaded model against the cases of a golden of
 * pictures of any size.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type HostTensor, tensorBytes } from '../../../src/core/index.ts';
import {
  type EncodableImage,
  encodableImage,
  generateTokens,
  type LlavaModel,
  type SequenceContent,
} from '../../../src/engine/index.ts';
import type { LlavaConfig } from '../../../src/models/index.ts';
import { readImage } from '../../../src/processor/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { noiseImage } from '../processor-image/support.ts';
import { relativeError } from './tiny-model.ts';

export const NEXT_FOLDER = join(import.meta.dirname, '../../golden/models/llava-next');
const TOLERANCE = 1e-5;

/** A case of pictures of noise, of the sizes `images`. */
export interface NextCase {
  readonly images: [number, number][];
  readonly prompt_ids: number[];
  readonly greedy: number[];
  /** sha256 of all tiles */
  readonly pixels: string;
  readonly image_tokens: number;
  readonly text: string;
}

export const NEXT_GOLDEN: {
  readonly question: string;
  readonly image: string;
  readonly cases: Record<string, NextCase>;
  readonly training: { readonly ids: number[][]; readonly loss: number; readonly images: [number, number][] };
} = JSON.parse(readFileSync(join(NEXT_FOLDER, 'golden.json'), 'utf8'));

/** A golden of pictures of any size. */
interface AnyResolutionGolden {
  readonly cases: Readonly<Record<string, NextCase>>;
  readonly tensor: (name: string) => HostTensor;
}

/** Reads a golden in the form of LLaVA-1.6's. */
export function openAnyResolution(folder: string): AnyResolutionGolden {
  const stored = openSafetensors(join(folder, 'golden.safetensors')).entries;
  const { cases } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
  return { cases, tensor: name => readTensor(stored.get(name)!) };
}

const { entries } = openSafetensors(join(NEXT_FOLDER, 'golden.safetensors'));

export const nextTensor = (name: string): HostTensor => readTensor(entries.get(name)!);
export const nextGradients = [...entries.keys()].filter(name => name.startsWith('grad.')).map(name => name.slice(5));

/** Names of the cases of noise by one set of rules. */
export const caseNames = (rules: string): string[] =>
  Object.keys(NEXT_GOLDEN.cases).filter(name => name.startsWith(`${rules}/`) && !name.endsWith('/picture'));

/** The case's prompt with the pictures' features in place. */
async function contentOf(model: LlavaModel, images: readonly EncodableImage[], prompt: readonly number[]) {
  const imageToken = model.config.modelType === 'llava' ? imageTokenOf(model.config) : undefined;
  const features = await model.encodeImages(images);
  const ids: number[] = [];
  const placed: { start: number; features: (typeof features)[number] }[] = [];
  for (const id of prompt) {
    if (id !== imageToken) ids.push(id);
    else {
      const next = features[placed.length]!;
      placed.push({ start: ids.length, features: next });
      ids.push(...Array<number>(next.rows).fill(0));
    }
  }
  return { ids, images: placed };
}

/** In an original's configuration there is none: the golden's prompts have that of the other files. */
const imageTokenOf = ({ imageTokenId }: LlavaConfig) => (imageTokenId < 0 ? 341 : imageTokenId);

/** Pixels bit for bit; merged features and the last logits within 1e-5; 64 greedy tokens the same. */
export async function checkNextCase(
  model: LlavaModel,
  name: string,
  { cases, tensor }: AnyResolutionGolden = { cases: NEXT_GOLDEN.cases, tensor: nextTensor },
): Promise<void> {
  const golden = cases[name]!;
  const prepared = await Promise.all(
    golden.images.map(([width, height], seed) => readImage(model.processor, noiseImage(width, height, seed))),
  );
  const hash = createHash('sha256');
  for (const { pixels } of prepared) hash.update(tensorBytes(pixels));
  expect(hash.digest('hex')).toBe(golden.pixels);
  const content = await contentOf(model, prepared.map(encodableImage), golden.prompt_ids);
  expect(content.images.reduce((sum, { features }) => sum + features.rows, 0)).toBe(golden.image_tokens);
  checkMerged(content, tensor(`${name}.merged_embeds`));
  await checkAnswer(model, content, tensor(`${name}.logits`), golden.greedy);
}

function checkMerged({ ids, images }: SequenceContent, merged: HostTensor): void {
  const width = merged.shape[2]!;
  expect(merged.shape[1]).toBe(ids.length);
  for (const { start, features } of images) {
    const theirs = (merged.data as Float32Array).subarray(start * width, (start + features.rows) * width);
    expect(relativeError(features.data, theirs)).toBeLessThan(TOLERANCE);
  }
}

async function checkAnswer(model: LlavaModel, content: SequenceContent, logits: HostTensor, greedy: readonly number[]) {
  const [, positions, vocabulary] = logits.shape as [number, number, number];
  using sequence = model.sequence(content.ids.length + greedy.length);
  for (let i = 0; i < positions; i++) {
    const ids = content.ids.slice(0, content.ids.length - positions + i + 1);
    const images = content.images.filter(({ start, features }) => start + features.rows <= ids.length);
    if (images.length < content.images.length) continue;
    const theirs = logits.data.slice(i * vocabulary, (i + 1) * vocabulary) as Float32Array;
    expect(relativeError(await sequence.read({ ids, images }), theirs)).toBeLessThan(TOLERANCE);
  }
  const tokens: number[] = [];
  const last = await sequence.read(content);
  for await (const id of generateTokens(sequence, last, new Set(), [], { maxTokens: greedy.length })) tokens.push(id);
  expect(tokens).toEqual(greedy);
}
