/**
 * @file The one owner of "how many image tokens, in which order". Processor, engine and trainer all ask here.
 *
 * LLaVA v1 and v1.5: one square image, patches in row-major order, preceded by the class token where it is kept.
 */

import type { LlavaConfig } from './config/index.ts';

/** Tokens that one image becomes in the language model's input. */
export function imageTokenCount(config: Pick<LlavaConfig, 'vision' | 'visionFeatureSelect'>): number {
  const side = config.vision.imageSize / config.vision.patchSize;
  return side * side + (config.visionFeatureSelect === 'cls_patch' ? 1 : 0);
}
