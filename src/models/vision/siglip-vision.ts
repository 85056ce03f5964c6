/**
 * @file SigLIP's vision transformer (Zhai et al. 2023): patches, learned positions, pre-norm blocks, and a head in which one
 * learned query attends to all patches. Names as in `transformers`. Shapes: N images, T patches, D hidden width.
 */

import { add, type Dim, expand, matMul, reshape, slice, type Value } from '../../graph/index.ts';
import { attend, layerNorm, linear, mergeHeads, type Scope, splitHeads } from '../../nn/index.ts';
import type { SiglipVisionConfig } from '../config/index.ts';
import { blockMlp, blockOutputs, patchEmbedding } from './block.ts';

function embeddings(scope: Scope, pixels: Value, config: SiglipVisionConfig): Value {
  const patches = patchEmbedding(scope.at('patch_embedding'), pixels, config);
  const [, patchCount, width] = patches.shape as [Dim, number, number];
  const biased = add(patches, scope.param('patch_embedding.bias', [width]));
  return add(biased, scope.param('position_embedding.weight', [patchCount, width]));
}

/** The tower's first hidden states, [N, T, D] each: the embedding, then the outputs of `blocks` blocks. */
export function siglipVisionStates(scope: Scope, pixels: Value, config: SiglipVisionConfig, blocks: number): Value[] {
  return blockOutputs(scope, embeddings(scope.at('embeddings'), pixels, config), blocks, config);
}

/** All patches after the last block and the final norm, [N, T, D]; with a head, what it makes of them, [N, D]. */
export function siglipVisionPooled(scope: Scope, pixels: Value, config: SiglipVisionConfig): Value {
  const hidden = siglipVisionStates(scope, pixels, config, config.numHiddenLayers).at(-1)!;
  const normed = layerNorm(scope.at('post_layernorm'), hidden, config.layerNormEps);
  return config.useHead ? poolingHead(scope.at('head'), normed, config) : normed;
}

/** PyTorch's MultiheadAttention keeps the three projections in one weight. */
function poolingHead(scope: Scope, x: Value, config: SiglipVisionConfig): Value {
  const { hiddenSize: width, numAttentionHeads, layerNormEps } = config;
  const count = x.shape[0] as Dim;
  const weight = scope.param('attention.in_proj_weight', [3 * width, width]);
  const bias = scope.param('attention.in_proj_bias', [3 * width]);
  const project = (from: Value, part: number) => {
    const [start, end] = [part * width, (part + 1) * width];
    const product = matMul(from, slice(weight, 0, start, end), { transB: true });
    return splitHeads(add(product, slice(bias, 0, start, end)), numAttentionHeads);
  };
  const probe = expand(scope.param('probe', [1, 1, width]), [count, 1, width]);
  const attended = mergeHeads(attend(project(probe, 0), project(x, 1), project(x, 2)));
  const h = linear(scope.at('attention.out_proj'), attended, width);
  const output = add(h, blockMlp(scope.at('mlp'), layerNorm(scope.at('layernorm'), h, layerNormEps), config));
  return reshape(output, [count, width]);
}
