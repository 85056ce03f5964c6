/** @file A model small enough to be made in a test: random weights, a tokenizer trained on a few words. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTensor, hostTensor, Rng, sizeOf } from '../../../src/core/index.ts';
import { decoderGraph, type LlavaConfig, parseLlavaConfig, visionGraph } from '../../../src/models/index.ts';
import { saveTokenizer, trainBpe } from '../../../src/processor/index.ts';
import { saveWeights, tensorSource } from '../../../src/weights/index.ts';

const WORDS = 'what is in this picture a cat dog red blue one two three yes no the of and on mat sat ball';
const trained = trainBpe(
  Array.from({ length: 20 }, (_, i) => WORDS.split(' ').slice(i).join(' ')),
  { vocabSize: 320, specialTokens: ['<pad>', '<image>'] },
);

/** config.json of the tiny model: 9 tokens an image, context of 640. */
export const TINY_JSON = {
  model_type: 'llava',
  image_token_index: trained.tokenizer.tokenToId('<image>')!,
  vision_feature_select_strategy: 'default',
  conversation_template: 'v1',
  vision_config: {
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    image_size: 24,
    patch_size: 8,
  },
  text_config: {
    vocab_size: 320,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 640,
    eos_token_id: 2,
  },
};

export const TINY_CONFIG: LlavaConfig = parseLlavaConfig(TINY_JSON, 'tiny');
export const tinyTokenizer = trained.tokenizer;

/**
 * Random weights by our names, spread wide, so that greedy answers vary and depend on the image. The end token's logit is 0
 * throughout, so that it is never the largest.
 */
export function tinyWeights(config: LlavaConfig = TINY_CONFIG, seed = 1): Map<string, HostTensor> {
  const rng = new Rng(seed);
  const graphs = [visionGraph(config), decoderGraph(config.language, 'language_model')];
  const params = graphs.flatMap(graph => graph.params);
  return new Map(params.map(({ name, shape }) => [name, randomTensor(name, shape as number[], rng)]));
}

function randomTensor(name: string, shape: readonly number[], rng: Rng): HostTensor {
  const size = sizeOf(shape);
  const isEmbedding = /embed|position/.test(name);
  const deviation = isEmbedding || shape.length === 1 ? 1 : 2 / Math.sqrt(size / shape[0]!);
  const mean = /norm.*weight$/.test(name) ? 1 : 0;
  const values = Float32Array.from({ length: size }, () => mean + deviation * rng.normal());
  const end = TINY_JSON.text_config.eos_token_id;
  if (name.includes('lm_head')) values.fill(0, end * shape[1]!, (end + 1) * shape[1]!);
  return hostTensor('f32', shape, values);
}

/** A folder that disposes of itself. */
export interface TemporaryFolder extends Disposable {
  readonly path: string;
}

export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'llava-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Writes a model folder in Hugging Face's layout. */
export async function writeTinyModel(
  folder: string,
  changes: { json?: object; weights?: ReadonlyMap<string, HostTensor> } = {},
): Promise<void> {
  const weights = changes.weights ?? tinyWeights();
  await saveWeights(
    folder,
    Array.from(weights, ([name, tensor]) => tensorSource(name, tensor)),
  );
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...TINY_JSON, ...changes.json }));
  await saveTokenizer(folder, trained);
}

/** Pixels of one tile, [1, 3, 24, 24], that depend on the seed. */
export function tinyPixels(seed: number): HostTensor {
  const rng = new Rng(seed);
  return hostTensor(
    'f32',
    [1, 3, 24, 24],
    Float32Array.from({ length: 3 * 24 * 24 }, () => rng.normal()),
  );
}

/** A decoded picture that depends on the seed. */
export function tinyImage(seed: number) {
  const rng = new Rng(seed);
  return { width: 30, height: 20, data: Uint8Array.from({ length: 30 * 20 * 3 }, () => rng.int(256)) };
}

/** Largest |a − b| relative to the largest |b|. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return actual.length === expected.length ? difference / scale : Number.POSITIVE_INFINITY;
}
