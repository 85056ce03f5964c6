/** @file Configurations of vision towers, CLIP's and SigLIP's, and of the whole of CLIP for contrastive pre-training. */

import { LlavaError } from '../../core/index.ts';
import { ACTIVATION_NAMES, type ActivationName } from '../../nn/index.ts';
import { Fields } from '../fields.ts';

/** What the vision transformers have in common. */
interface VisionTransformerConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Side of the square input, pixels. */
  readonly imageSize: number;
  /** Side of a patch, pixels. */
  readonly patchSize: number;
  readonly layerNormEps: number;
  readonly hiddenAct: ActivationName;
}

/** CLIP's vision transformer: a class token before the patches, a norm before the blocks. */
export interface ClipVisionConfig extends VisionTransformerConfig {
  readonly modelType: 'clip_vision_model';
}

/** SigLIP's vision transformer: patches only. */
export interface SiglipVisionConfig extends VisionTransformerConfig {
  readonly modelType: 'siglip_vision_model';
  /** Whether there is a pooling head after the last norm; image features never need it. */
  readonly useHead: boolean;
}

/** The vision tower of a LLaVA. */
export type VisionConfig = ClipVisionConfig | SiglipVisionConfig;

/** CLIP's text transformer, used for contrastive pre-training only. */
export interface ClipTextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly maxPositionEmbeddings: number;
  readonly layerNormEps: number;
  readonly hiddenAct: ActivationName;
  readonly eosTokenId: number;
}

/** A whole CLIP: both towers and the shared space. */
export interface ClipConfig {
  readonly modelType: 'clip';
  readonly vision: ClipVisionConfig;
  readonly text: ClipTextConfig;
  readonly projectionDim: number;
}

/** Patches along a side of the image; a rest that is smaller than a patch is not seen. */
export function patchesPerSide({ imageSize, patchSize }: Pick<VisionConfig, 'imageSize' | 'patchSize'>): number {
  return Math.floor(imageSize / patchSize);
}

/** Parses the configuration of a vision tower. */
export function parseVisionConfig(json: unknown, where: string): VisionConfig {
  const types = ['clip_vision_model', 'siglip_vision_model'] as const;
  const type = new Fields(json, where).choice('model_type', types, 'clip_vision_model');
  return type === 'clip_vision_model' ? parseClipVisionConfig(json, where) : parseSiglipVisionConfig(json, where);
}

/** Parses a `clip_vision_model` configuration; missing values are those of CLIP ViT-B/32, as in `transformers`. */
export function parseClipVisionConfig(json: unknown, where: string): ClipVisionConfig {
  const fields = new Fields(json, where);
  fields.choice('model_type', ['clip_vision_model'] as const, 'clip_vision_model');
  const rest = { patchSize: 32, layerNormEps: 1e-5, hiddenAct: 'quick_gelu' } as const;
  const config = Object.freeze({ modelType: 'clip_vision_model', ...parseTransformer(fields, rest) } as const);
  if (config.imageSize % config.patchSize === 0) return config;
  throw new LlavaError(
    `${where}: expected image_size divisible by patch_size ${config.patchSize}, got ${config.imageSize}`,
  );
}

/** Parses a `siglip_vision_model` configuration; missing values are those of SigLIP base, as in `transformers`. */
function parseSiglipVisionConfig(json: unknown, where: string): SiglipVisionConfig {
  const fields = new Fields(json, where);
  const rest = { patchSize: 16, layerNormEps: 1e-6, hiddenAct: 'gelu_pytorch_tanh' } as const;
  const config = Object.freeze({
    modelType: 'siglip_vision_model',
    ...parseTransformer(fields, rest),
    useHead: fields.boolean('vision_use_head', true),
  } as const);
  if (config.imageSize >= config.patchSize) return config;
  throw new LlavaError(`${where}: expected image_size of at least ${config.patchSize}, got ${config.imageSize}`);
}

function parseTransformer(
  fields: Fields,
  defaults: Pick<VisionTransformerConfig, 'patchSize' | 'layerNormEps' | 'hiddenAct'>,
): VisionTransformerConfig {
  return {
    hiddenSize: fields.positive('hidden_size', 768),
    intermediateSize: fields.positive('intermediate_size', 3072),
    numHiddenLayers: fields.positive('num_hidden_layers', 12),
    numAttentionHeads: fields.positive('num_attention_heads', 12),
    imageSize: fields.positive('image_size', 224),
    patchSize: fields.positive('patch_size', defaults.patchSize),
    layerNormEps: fields.number('layer_norm_eps', defaults.layerNormEps),
    hiddenAct: fields.choice('hidden_act', ACTIVATION_NAMES, defaults.hiddenAct),
  };
}

/** Parses a `clip` configuration. */
export function parseClipConfig(json: unknown, where: string): ClipConfig {
  const fields = new Fields(json, where);
  return Object.freeze({
    modelType: 'clip',
    vision: parseClipVisionConfig(fields.object('vision_config'), `${where}: vision_config`),
    text: parseClipTextConfig(fields.object('text_config'), `${where}: text_config`),
    projectionDim: fields.positive('projection_dim', 512),
  });
}

function parseClipTextConfig(json: unknown, where: string): ClipTextConfig {
  const fields = new Fields(json, where);
  return Object.freeze({
    vocabSize: fields.positive('vocab_size', 49408),
    hiddenSize: fields.positive('hidden_size', 512),
    intermediateSize: fields.positive('intermediate_size', 2048),
    numHiddenLayers: fields.positive('num_hidden_layers', 12),
    numAttentionHeads: fields.positive('num_attention_heads', 8),
    maxPositionEmbeddings: fields.positive('max_position_embeddings', 77),
    layerNormEps: fields.number('layer_norm_eps', 1e-5),
    hiddenAct: fields.choice('hidden_act', ACTIVATION_NAMES, 'quick_gelu'),
    eosTokenId: fields.integer('eos_token_id', 49407),
  });
}
