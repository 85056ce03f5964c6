/** @file Checks of a loaded model against a golden of `scripts/make_model_goldens.py`. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type HostTensor, hostTensor } from '../../../src/core/index.ts';
import { encodableImage, generateTokens, type LlavaModel, type SequenceContent } from '../../../src/engine/index.ts';
import { imageLayout } from '../../../src/models/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { relativeError } from './tiny-model.ts';

export const GOLDEN = join(import.meta.dirname, '../../golden/models');
const TOLERANCE = 1e-5;

/** A case of a golden. */
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

export const readGolden = (folder: string): Golden =>
  JSON.parse(readFileSync(join(GOLDEN, folder, 'golden.json'), 'utf8'));

/** Tensors of a case by name, as far as there are any. */
export function goldenTensors(folder: string, name: string): (point: string) => HostTensor | undefined {
  const { entries } = openSafetensors(join(GOLDEN, folder, 'golden.safetensors'));
  return point => {
    const entry = entries.get(`${name}.${point}`);
    return entry && readTensor(entry);
  };
}

/** The golden's expanded prompt, with features computed from its pixels. */
export async function contentOf(model: LlavaModel, tensor: ReturnType<typeof goldenTensors>): Promise<SequenceContent> {
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
  // The last token of a golden, which an original configuration does not say.
  const imageTokenId = model.config.format === 'hf' ? model.config.imageTokenId : model.language.vocabSize - 1;
  const positions = ids.flatMap((id, i) => (id === imageTokenId ? [i] : []));
  const starts = positions.filter((_, k) => k % features[0]!.rows === 0);
  return {
    ids: ids.map(id => (id === imageTokenId ? 0 : id)),
    images: starts.map((start, i) => ({ start, features: features[i]! })),
  };
}

/** Projected features and logits of every position within the tolerance, 64 greedy tokens the same. */
export async function checkCase(model: LlavaModel, golden: string, name: string, tolerance = TOLERANCE): Promise<void> {
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
export async function checkLogits(
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
