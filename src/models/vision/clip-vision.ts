/**
 * @file CLIP's vision transformer (Radford et al. 2021): patches, class token, learned positions, pre-norm blocks.
 * Names as in `transformers`, misspelt `pre_layrnorm` included. Shapes: N images, T tokens, D hidden width.
 */

import { add, concat, type Dim, expand, matMul, reshape, slice, transpose, type Value } from '../../graph/index.ts';
import { activate, attend, layerNorm, linear, mergeHeads, type Scope, splitHeads } from '../../nn/index.ts';
import type { ClipTextConfig, ClipVisionConfig } from '../config/index.ts';

/** Self-attention with biases; shared by the vision and the text tower. */
function attention(scope: Scope, x: Value, numHeads: number, mask?: Value): Value {
  const width = x.shape.at(-1) as number;
  const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map(name =>
    splitHeads(linear(scope.at(name), x, width), numHeads),
  ) as [Value, Value, Value];
  return linear(scope.at('out_proj'), mergeHeads(attend(query, key, value, mask)), width);
}

function mlp(scope: Scope, x: Value, config: ClipVisionConfig | ClipTextConfig): Value {
  const hidden = activate(config.hiddenAct, linear(scope.at('fc1'), x, config.intermediateSize));
  return linear(scope.at('fc2'), hidden, config.hiddenSize);
}

/** One pre-norm transformer block of either CLIP tower. */
export function clipBlock(scope: Scope, x: Value, config: ClipVisionConfig | ClipTextConfig, mask?: Value): Value {
  const normed = layerNorm(scope.at('layer_norm1'), x, config.layerNormEps);
  const h = add(x, attention(scope.at('self_attn'), normed, config.numAttentionHeads, mask));
  return add(h, mlp(scope.at('mlp'), layerNorm(scope.at('layer_norm2'), h, config.layerNormEps), config));
}

/** Pixels [N, 3, S, S] → patches in row-major order, each projected to D: the stride-p convolution as one product. */
function patchEmbedding(scope: Scope, pixels: Value, config: ClipVisionConfig): Value {
  const { patchSize: p, hiddenSize, imageSize } = config;
  const count = pixels.shape[0] as Dim;
  const side = imageSize / p;
  const grid = transpose(reshape(pixels, [count, 3, side, p, side, p]), [0, 2, 4, 1, 3, 5]);
  const weight = reshape(scope.param('patch_embedding.weight', [hiddenSize, 3, p, p]), [hiddenSize, 3 * p * p]);
  return matMul(reshape(grid, [count, side * side, 3 * p * p]), weight, { transB: true });
}

function embeddings(scope: Scope, pixels: Value, config: ClipVisionConfig): Value {
  const patches = patchEmbedding(scope, pixels, config);
  const [count, patchCount] = patches.shape as [Dim, number, number];
  const width = config.hiddenSize;
  const classToken = expand(reshape(scope.param('class_embedding', [width]), [1, 1, width]), [count, 1, width]);
  return add(concat([classToken, patches], 1), scope.param('position_embedding.weight', [patchCount + 1, width]));
}

/** Hidden state `layer` of the tower, [N, 1 + patches, D]: 0 is the normed embedding, −1 the last block's output. */
export function clipVisionHidden(scope: Scope, pixels: Value, config: ClipVisionConfig, layer: number): Value {
  const blocks = layer < 0 ? config.numHiddenLayers + 1 + layer : layer;
  let x = embeddings(scope.at('embeddings'), pixels, config);
  x = layerNorm(scope.at('pre_layrnorm'), x, config.layerNormEps);
  for (let i = 0; i < blocks; i++) x = clipBlock(scope.at(`encoder.layers.${i}`), x, config);
  return x;
}

/** The class token after the last block and the final norm, [N, D]. */
export function clipVisionPooled(scope: Scope, pixels: Value, config: ClipVisionConfig): Value {
  const hidden = clipVisionHidden(scope, pixels, config, -1);
  const classToken = reshape(slice(hidden, 1, 0, 1), [hidden.shape[0]!, config.hiddenSize]);
  return layerNorm(scope.at('post_layernorm'), classToken, config.layerNormEps);
}
