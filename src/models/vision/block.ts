/**
 * @file What CLIP and SigLIP have in common: patches and pre-norm transformer blocks. Names as in `transformers`. Shapes: N
 * images, T tokens, D hidden width.
 */

import { add, type Dim, matMul, reshape, slice, transpose, type Value } from '../../graph/index.ts';
import { activate, attend, layerNorm, linear, mergeHeads, type Scope, splitHeads } from '../../nn/index.ts';
import { type ClipTextConfig, patchesPerSide, type VisionConfig } from '../config/index.ts';

type BlockConfig = Pick<
  VisionConfig | ClipTextConfig,
  'hiddenSize' | 'intermediateSize' | 'numAttentionHeads' | 'layerNormEps' | 'hiddenAct'
>;

/** Self-attention with biases. */
function attention(scope: Scope, x: Value, numHeads: number, mask?: Value): Value {
  const width = x.shape.at(-1) as number;
  const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map(name =>
    splitHeads(linear(scope.at(name), x, width), numHeads),
  ) as [Value, Value, Value];
  return linear(scope.at('out_proj'), mergeHeads(attend(query, key, value, mask)), width);
}

/** The two-layer MLP of a block. */
export function blockMlp(scope: Scope, x: Value, config: BlockConfig): Value {
  const hidden = activate(config.hiddenAct, linear(scope.at('fc1'), x, config.intermediateSize));
  return linear(scope.at('fc2'), hidden, config.hiddenSize);
}

/** One pre-norm transformer block of a vision or text tower. */
export function towerBlock(scope: Scope, x: Value, config: BlockConfig, mask?: Value): Value {
  const normed = layerNorm(scope.at('layer_norm1'), x, config.layerNormEps);
  const h = add(x, attention(scope.at('self_attn'), normed, config.numAttentionHeads, mask));
  return add(h, blockMlp(scope.at('mlp'), layerNorm(scope.at('layer_norm2'), h, config.layerNormEps), config));
}

/**
 * Pixels [N, 3, S, S] → patches in row-major order, each projected to D: the stride-p convolution as one product, without its
 * bias. Pixels beyond the last whole patch are not seen.
 */
export function patchEmbedding(scope: Scope, pixels: Value, config: VisionConfig): Value {
  const { patchSize: p, hiddenSize } = config;
  const count = pixels.shape[0] as Dim;
  const side = patchesPerSide(config);
  const seen = [2, 3].reduce((x, axis) => (x.shape[axis] === side * p ? x : slice(x, axis, 0, side * p)), pixels);
  const grid = transpose(reshape(seen, [count, 3, side, p, side, p]), [0, 2, 4, 1, 3, 5]);
  const weight = reshape(scope.param('weight', [hiddenSize, 3, p, p]), [hiddenSize, 3 * p * p]);
  return matMul(reshape(grid, [count, side * side, 3 * p * p]), weight, { transB: true });
}

/** Outputs of every block in turn, the blocks' input first. */
export function blockOutputs(scope: Scope, x: Value, blocks: number, config: BlockConfig): Value[] {
  const states = [x];
  for (let i = 0; i < blocks; i++) states.push(towerBlock(scope.at(`encoder.layers.${i}`), states.at(-1)!, config));
  return states;
}
