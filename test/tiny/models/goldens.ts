/** @file Reading the goldens that `scripts/make_model_goldens.py` made with transformers. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { castFloat, type HostTensor, hostTensor, i64Tensor, toFloat32 } from '../../../src/core/index.ts';
import { LLAMA_NAMES, LLAVA_NAMES, type NameRule, ourName, parseModelConfig } from '../../../src/models/index.ts';
import { openSafetensors, openWeights, readTensor } from '../../../src/weights/index.ts';

const ROOT = join(import.meta.dirname, '../../golden');

/** Golden LLaVAs that read one square tile. */
export const LLAVA_FAMILIES = [
  'llava-1.5',
  'llava-1.5-full-gqa',
  'llava-1.5-odd',
  'llava-v1-linear',
  'llava-siglip-qwen2',
  'llava-clip-layers-mistral',
] as const;

/** One case of a golden: token ids, greedy continuation, named tensors. */
export interface GoldenCase {
  readonly prompt_ids: number[];
  readonly greedy: number[];
}

/** A golden folder, with its model. */
export function openGolden(family: string) {
  const folder = join(ROOT, 'models', family);
  const json = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
  const tensors = openSafetensors(join(folder, 'golden.safetensors')).entries;
  return {
    folder,
    json,
    cases: json.cases as Record<string, GoldenCase>,
    config: parseModelConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')), family),
    tensor: (name: string): HostTensor => readTensor(tensors.get(name)!),
    has: (name: string): boolean => tensors.has(name),
  };
}

/** A checkpoint's weights by our names. */
export function readWeights(folder: string, rules: readonly NameRule[] = LLAVA_NAMES): Map<string, HostTensor> {
  const store = openWeights(folder);
  const weights = new Map<string, HostTensor>();
  for (const name of store.entries.keys()) {
    const ours = ourName(rules, name);
    expect(ours, `no rule for ${name}`).toBeDefined();
    if (ours) weights.set(ours, castFloat(store.read(name), 'f32'));
  }
  return weights;
}

export { LLAMA_NAMES };

/** Largest |a − b| relative to the largest |b|. */
export function relativeError(actual: HostTensor, expected: HostTensor): number {
  const [a, b] = [toFloat32(actual), toFloat32(expected)];
  expect(a.length).toBe(b.length);
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < a.length; i++) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    scale = Math.max(scale, Math.abs(b[i]!));
  }
  return difference / scale;
}

/** Feeds of one sequence whose image tokens (id `imageToken`) are expanded in `ids`; logits of every position. */
export function sequenceFeeds(ids: readonly number[], imageToken: number): Record<string, HostTensor> {
  let feature = ids.length;
  const source = ids.map((id, t) => (id === imageToken ? feature++ : t));
  return {
    ids: i64Tensor(
      [1, ids.length],
      ids.map(id => (id === imageToken ? 0 : id)),
    ),
    source: i64Tensor([1, ids.length], source),
    rows: i64Tensor(
      [ids.length],
      ids.map((_, t) => t),
    ),
  };
}

/** No images: pixels of zero pictures. */
export function noPixels(side: number): HostTensor {
  return hostTensor('f32', [0, 3, side, side]);
}
