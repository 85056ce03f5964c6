/** @file What a GGUF file says of a vision tower and projector, from the configuration: what llama.cpp's `clip` reads. */

import { LlavaError } from '../../core/index.ts';
import { blocksFor, type LlavaConfig } from '../../models/index.ts';
import { COMPAT_KEY, type GgufValue } from '../../weights/index.ts';
import type { ImageRule } from '../image-rule.ts';

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const f32 = (value: number): GgufValue => ({ type: 'f32', value });
const bool = (value: boolean): GgufValue => ({ type: 'bool', value });
const string = (value: string): GgufValue => ({ type: 'string', value });
const f32List = (values: readonly number[]): GgufValue => ({
  type: 'array',
  items: 'f32',
  values: Float32Array.from(values),
});
const i32List = (values: readonly number[]): GgufValue => ({
  type: 'array',
  items: 'i32',
  values: Int32Array.from(values),
});

/**
 * Metadata of the vision half.
 * @throws LlavaError for towers and projectors that the format's reader has no word for
 */
export function visionMetadata(config: LlavaConfig, image: ImageRule, where: string): [string, GgufValue][] {
  checkExpressible(config, where);
  const { vision, anyres, merge } = config;
  const layers = featureLayers(config);
  const entries: Record<string, GgufValue> = {
    'clip.has_text_encoder': bool(false),
    'clip.has_vision_encoder': bool(true),
    'clip.has_llava_projector': bool(true),
    'clip.projector_type': string('mlp'),
    'clip.use_gelu': bool(vision.hiddenAct !== 'quick_gelu'),
    'clip.vision.image_size': u32(vision.imageSize),
    'clip.vision.patch_size': u32(vision.patchSize),
    'clip.vision.embedding_length': u32(vision.hiddenSize),
    'clip.vision.feed_forward_length': u32(vision.intermediateSize),
    'clip.vision.projection_dim': u32(config.language.hiddenSize),
    'clip.vision.attention.head_count': u32(vision.numAttentionHeads),
    'clip.vision.attention.layer_norm_epsilon': f32(vision.layerNormEps),
    'clip.vision.block_count': u32(Math.max(...layers)),
    'clip.vision.feature_layer': i32List(layers),
    'clip.vision.image_mean': f32List(image.settings.mean),
    'clip.vision.image_std': f32List(image.settings.std),
    'clip.vision.image_aspect_ratio': string(aspectRatio(config, image)),
    ...(anyres && { 'clip.vision.image_grid_pinpoints': i32List(anyres.pinpoints.flat()) }),
    ...(anyres && { 'clip.vision.mm_patch_merge_type': string(mergeName(merge)) }),
    [COMPAT_KEY]: string(config.format),
  };
  return Object.entries(entries);
}

/** Hidden states that the projector reads, counted from the tower's input; the blocks after the last are not written. */
export function featureLayers({ vision, visionFeatureLayers }: LlavaConfig): number[] {
  return visionFeatureLayers.map(layer => blocksFor(layer, vision));
}

/** The reader knows towers with a class token that it drops, and an MLP of two layers; it joins states in their order. */
function checkExpressible(config: LlavaConfig, where: string): void {
  const { vision, projectorType, projectorBias } = config;
  const refuse = (expected: string, got: string): never => {
    throw new LlavaError(`${where}: expected ${expected} for GGUF, got ${got}`);
  };
  if (vision.modelType !== 'clip_vision_model') refuse('a CLIP tower', vision.modelType);
  if (projectorType !== 'mlp2x_gelu') refuse('a projector mlp2x_gelu', projectorType);
  if (!projectorBias) refuse('a projector with biases', 'none');
  if (config.visionFeatureSelect !== 'patch') refuse('features without the class token', config.visionFeatureSelect);
  const layers = featureLayers(config);
  if (layers.some((layer, i) => i > 0 && layer <= layers[i - 1]!)) refuse('feature layers in order', layers.join(', '));
  if (config.usesImageMarkers) refuse('prompts without <im_start>', 'mm_use_im_start_end');
}

function aspectRatio({ anyres }: LlavaConfig, { mode }: ImageRule): string {
  if (!anyres) return mode;
  return anyres.maxTiles === undefined ? 'anyres' : `anyres_max_${anyres.maxTiles}`;
}

function mergeName({ spatial, maxPool, unpad, base }: LlavaConfig['merge']): string {
  if (!spatial) return 'flat';
  return ['spatial', maxPool && 'maxpool2x2', unpad && 'unpad', !base && 'nobase'].filter(Boolean).join('_');
}
