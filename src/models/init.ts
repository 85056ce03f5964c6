/**
 * @file Initial weights for training from scratch, chosen by name. Matrices: normal with variance 1/fan-in, residual
 * projections scaled down by √(2·layers). Ones and zeros for norms and biases, CLIP's temperature ln(1/0.07). Vision
 * towers start looking at their neighbourhood (after Trockman & Kolter 2023, "Mimetic initialization"): positions are
 * sinusoids, and queries equal keys, so a patch attends to patches that are near and alike. Small data needs that.
 */

import { createHash } from 'node:crypto';
import { f32Tensor, type HostTensor, Rng, sizeOf } from '../core/index.ts';

const CLIP_LOGIT_SCALE = Math.log(1 / 0.07);
const RESIDUAL_PROJECTION = /\.(o_proj|down_proj|out_proj|fc2)\.weight$/;
const NORM_WEIGHT = /(norm|layernorm|layrnorm|layer_norm\d?)\.weight$/;
const VISION_POSITIONS = /vision.*\.position_embedding\.weight$/;
const VISION_CLASS_TOKEN = /vision.*\.class_embedding$/;
const VISION_QUERY_OR_KEY = /vision.*\.[qk]_proj\.weight$/;
const EMBEDDING = /(token|position|embed)_(embedding|tokens)\.weight$/;

/** Initial value of the parameter `name`; `layers` is the depth of its tower. The same seed and name give the same numbers. */
export function initialTensor(name: string, shape: readonly number[], layers: number, seed: number): HostTensor {
  const size = sizeOf(shape);
  if (name.endsWith('logit_scale')) return f32Tensor(shape, [CLIP_LOGIT_SCALE]);
  if (NORM_WEIGHT.test(name)) return f32Tensor(shape, new Float32Array(size).fill(1));
  if (/[._]bias$/.test(name) || VISION_CLASS_TOKEN.test(name)) return f32Tensor(shape, new Float32Array(size));
  if (VISION_POSITIONS.test(name)) return sinusoidalPositions(shape as [number, number]);
  const deviation = initialDeviation(name, shape, layers);
  const rng = new Rng(nameSeed(name, seed));
  return f32Tensor(
    shape,
    Float32Array.from({ length: size }, () => deviation * rng.normal()),
  );
}

function initialDeviation(name: string, shape: readonly number[], layers: number): number {
  if (name === 'image_newline') return 1 / Math.sqrt(shape[0]!);
  if (EMBEDDING.test(name)) return 0.02;
  const fanIn = sizeOf(shape) / shape[0]!;
  const gain = RESIDUAL_PROJECTION.test(name) ? 1 / Math.sqrt(2 * layers) : VISION_QUERY_OR_KEY.test(name) ? 0.7 : 1;
  return gain / Math.sqrt(fanIn);
}

/** Queries and keys of a vision tower share their seed. */
function nameSeed(name: string, seed: number): number {
  const key = VISION_QUERY_OR_KEY.test(name) ? name.replace(/[qk]_proj/, 'qk_proj') : name;
  return createHash('sha256').update(`${seed} ${key}`).digest().readUInt32LE(0);
}

/**
 * [side², width], or [1 + side², width] where a class token comes first: it gets zeros, patches a quarter each of sin and cos
 * of x and of y.
 */
function sinusoidalPositions(shape: readonly [number, number]): HostTensor {
  const [count, width] = shape;
  const side = Math.floor(Math.sqrt(count));
  const before = count - side * side;
  const quarter = Math.floor(width / 4);
  const table = new Float32Array(count * width);
  for (let patch = 0; patch < side * side; patch++) {
    const row = (before + patch) * width;
    const [x, y] = [patch % side, Math.floor(patch / side)];
    for (let i = 0; i < quarter; i++) {
      const frequency = (Math.PI / 2) * 0.05 ** (i / quarter); // wavelengths from 4 patches to 80
      const waves = [
        Math.sin(x * frequency),
        Math.cos(x * frequency),
        Math.sin(y * frequency),
        Math.cos(y * frequency),
      ];
      for (const [k, wave] of waves.entries()) table[row + k * quarter + i] = wave;
    }
  }
  return f32Tensor(shape, table);
}
