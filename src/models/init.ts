/**
 * @file Initial weights for training from scratch, chosen by name: normal with variance 1/fan-in (residual projections scaled
 * down by √(2·layers)), ones and zeros for norms and biases, CLIP's temperature ln(1/0.07).
 */

import { f32Tensor, type HostTensor, type Rng, sizeOf } from '../core/index.ts';

const CLIP_LOGIT_SCALE = Math.log(1 / 0.07);
const RESIDUAL_PROJECTION = /\.(o_proj|down_proj|out_proj|fc2)\.weight$/;
const NORM_WEIGHT = /(norm|layernorm|layrnorm|layer_norm\d?)\.weight$/;

/** Initial value of the parameter `name`; `layers` is the depth of its tower. */
export function initialTensor(name: string, shape: readonly number[], layers: number, rng: Rng): HostTensor {
  const size = sizeOf(shape);
  if (name.endsWith('logit_scale')) return f32Tensor(shape, [CLIP_LOGIT_SCALE]);
  if (NORM_WEIGHT.test(name)) return f32Tensor(shape, new Float32Array(size).fill(1));
  if (name.endsWith('.bias')) return f32Tensor(shape, new Float32Array(size));
  const deviation = initialDeviation(name, shape, layers);
  return f32Tensor(
    shape,
    Float32Array.from({ length: size }, () => deviation * rng.normal()),
  );
}

/**
 * Matrices keep the variance of their input (Glorot's fan-in), so that small models start as well as large ones. Positions
 * of the vision tower are of the size of the patches they are added to, else the first layer norm hides them.
 */
function initialDeviation(name: string, shape: readonly number[], layers: number): number {
  if (/vision.*\.(position_embedding\.weight|class_embedding)$/.test(name)) return 0.2;
  if (/(token|position|embed)_(embedding|tokens)\.weight$/.test(name)) return 0.02;
  const fanIn = sizeOf(shape) / shape[0]!;
  return RESIDUAL_PROJECTION.test(name) ? 1 / Math.sqrt(2 * layers * fanIn) : 1 / Math.sqrt(fanIn);
}
