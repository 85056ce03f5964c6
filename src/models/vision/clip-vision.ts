/**
 * @file CLIP's vision transformer (Radford et al. 2021): patches, class token, learned positions, pre-norm blocks.
 * Names as in `transformers`, misspelt `pre_layrnorm` included. Shapes: N images, D hidden width.
 */

import { add, concat, type Dim, expand, reshape, slice, type Value } from '../../graph/index.ts';
import { layerNorm, type Scope } from '../../nn/index.ts';
import type { ClipVisionConfig } from '../config/index.ts';
import { blockOutputs, patchEmbedding } from './block.ts';

function embeddings(scope: Scope, pixels: Value, config: ClipVisionConfig): Value {
  const patches = patchEmbedding(scope.at('patch_embedding'), pixels, config);
  const [count, patchCount] = patches.shape as [Dim, number, number];
  const width = config.hiddenSize;
  const classToken = expand(reshape(scope.param('class_embedding', [width]), [1, 1, width]), [count, 1, width]);
  return add(concat([classToken, patches], 1), scope.param('position_embedding.weight', [patchCount + 1, width]));
}

/** The tower's first hidden states, [N, 1 + patches, D] each: the normed embedding, then the outputs of `blocks` blocks. */
export function clipVisionStates(scope: Scope, pixels: Value, config: ClipVisionConfig, blocks: number): Value[] {
  const embedded = embeddings(scope.at('embeddings'), pixels, config);
  const normed = layerNorm(scope.at('pre_layrnorm'), embedded, config.layerNormEps);
  return blockOutputs(scope, normed, blocks, config);
}

/** The class token after the last block and the final norm, [N, D]. */
export function clipVisionPooled(scope: Scope, pixels: Value, config: ClipVisionConfig): Value {
  const hidden = clipVisionStates(scope, pixels, config, config.numHiddenLayers).at(-1)!;
  const classToken = reshape(slice(hidden, 1, 0, 1), [hidden.shape[0]!, config.hiddenSize]);
  return layerNorm(scope.at('post_layernorm'), classToken, config.layerNormEps);
}
