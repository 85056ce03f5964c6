/** @file The vision tower of a LLaVA, whichever it is. Shapes: N images, T tokens, D hidden width. */

import type { Value } from '../../graph/index.ts';
import type { Scope } from '../../nn/index.ts';
import type { VisionConfig } from '../config/index.ts';
import { clipVisionPooled, clipVisionStates } from './clip-vision.ts';
import { siglipVisionPooled, siglipVisionStates } from './siglip-vision.ts';

/** Blocks that must run for hidden state `layer`: 0 is the blocks' input, −1 the last block's output. */
export function blocksFor(layer: number, { numHiddenLayers }: Pick<VisionConfig, 'numHiddenLayers'>): number {
  return layer < 0 ? numHiddenLayers + 1 + layer : layer;
}

/** The chosen hidden states of the tower, [N, T, D] each. */
export function visionStates(scope: Scope, pixels: Value, config: VisionConfig, layers: readonly number[]): Value[] {
  const wanted = layers.map(layer => blocksFor(layer, config));
  const blocks = Math.max(...wanted);
  const states =
    config.modelType === 'clip_vision_model'
      ? clipVisionStates(scope, pixels, config, blocks)
      : siglipVisionStates(scope, pixels, config, blocks);
  return wanted.map(index => states[index]!);
}

/** What the whole tower makes of an image: CLIP's normed class token, SigLIP's head. */
export function visionPooled(scope: Scope, pixels: Value, config: VisionConfig): Value {
  return config.modelType === 'clip_vision_model'
    ? clipVisionPooled(scope, pixels, config)
    : siglipVisionPooled(scope, pixels, config);
}
