/**
 * @file The whole of CLIP, for contrastive pre-training of a vision tower (Radford et al. 2021, figure 3): two towers, a
 * shared space, a symmetric cross entropy over the batch. Shapes: N pairs, T text tokens, E shared width.
 */

import {
  add,
  cast,
  type Dim,
  div,
  equal,
  exp,
  gather,
  input,
  logSoftmax,
  matMul,
  mul,
  neg,
  range,
  reduceMean,
  reduceSum,
  reshape,
  shapeSize,
  sqrt,
  transpose,
  type Value,
} from '../../graph/index.ts';
import { causalMask, embedding, layerNorm, linear, type Scope } from '../../nn/index.ts';
import type { ClipConfig, ClipTextConfig } from '../config/index.ts';
import { towerBlock } from './block.ts';
import { clipVisionPooled } from './clip-vision.ts';

/** The text tower's state at each text's last token. `ids` [N, T], `lastToken` [N] (flat index n·T + t) → [N, D]. */
function textPooled(scope: Scope, ids: Value, lastToken: Value, config: ClipTextConfig): Value {
  const [count, tokens] = ids.shape as [Dim, Dim];
  const { hiddenSize, vocabSize, maxPositionEmbeddings } = config;
  const tokenEmbeds = embedding(scope.at('embeddings.token_embedding'), ids, vocabSize, hiddenSize);
  const positions = scope.at('embeddings.position_embedding');
  let x = add(tokenEmbeds, embedding(positions, range(tokens), maxPositionEmbeddings, hiddenSize));
  const mask = causalMask(tokens);
  for (let i = 0; i < config.numHiddenLayers; i++) x = towerBlock(scope.at(`encoder.layers.${i}`), x, config, mask);
  x = layerNorm(scope.at('final_layer_norm'), x, config.layerNormEps);
  return gather(reshape(x, [shapeSize([count, tokens]), hiddenSize]), lastToken);
}

/** x / |x| over the last axis. */
function unitLength(x: Value): Value {
  return div(x, sqrt(reduceSum(mul(x, x), [-1], true)));
}

/** Inputs of the contrastive graph. */
export interface ClipInputs {
  /** f32 [N, 3, S, S] */
  readonly pixels: Value;
  /** i64 [N, T] */
  readonly ids: Value;
  /** i64 [N]: flat index of each text's end token */
  readonly lastToken: Value;
}

/** Graph inputs named `pixels`, `ids`, `lastToken`, for any batch size N and text length T. */
export function clipInputs(config: ClipConfig, batch: Dim, tokens: Dim): ClipInputs {
  const side = config.vision.imageSize;
  return {
    pixels: input('pixels', 'f32', [batch, 3, side, side]),
    ids: input('ids', 'i64', [batch, tokens]),
    lastToken: input('lastToken', 'i64', [batch]),
  };
}

/** Unit vectors [N, E] of images and texts, and the scaled similarities [image, text]. */
export interface ClipOutputs {
  readonly imageEmbeds: Value;
  readonly textEmbeds: Value;
  readonly logitsPerImage: Value;
}

/** Both towers on N pairs. */
export function clipForward(scope: Scope, inputs: ClipInputs, config: ClipConfig): ClipOutputs {
  const { projectionDim, vision, text } = config;
  const image = clipVisionPooled(scope.at('vision_model'), inputs.pixels, vision);
  const words = textPooled(scope.at('text_model'), inputs.ids, inputs.lastToken, text);
  const imageEmbeds = unitLength(linear(scope.at('visual_projection'), image, projectionDim, { bias: false }));
  const textEmbeds = unitLength(linear(scope.at('text_projection'), words, projectionDim, { bias: false }));
  const similarity = matMul(imageEmbeds, textEmbeds, { transB: true });
  return { imageEmbeds, textEmbeds, logitsPerImage: mul(similarity, exp(scope.param('logit_scale', []))) };
}

/**
 * Mean of the cross entropies image → text and text → image. Pairs of one group (i64 [N], equal captions) are each other's
 * targets in equal parts; where all groups differ this is CLIP's loss.
 */
export function clipLoss({ logitsPerImage }: ClipOutputs, groups: Value): Value {
  const count = groups.shape[0]!;
  const same = cast(equal(reshape(groups, [count, 1]), reshape(groups, [1, count])), 'f32');
  const target = div(same, reduceSum(same, [1], true));
  const rowLoss = (logits: Value) => neg(reduceMean(reduceSum(mul(target, logSoftmax(logits)), [1]), [0]));
  return mul(add(rowLoss(logitsPerImage), rowLoss(transpose(logitsPerImage, [1, 0]))), 0.5);
}
