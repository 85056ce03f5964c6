/** @file Configurations of CLIP: its vision tower, and the whole of it for contrastive pre-training. */

import { LlavaError } from '../../core/index.ts';
import { ACTIVATION_NAMES, type ActivationName } from '../../nn/index.ts';
import { Fields } from '../fields.ts';

/** CLIP's vision transformer. */
export interface ClipVisionConfig {
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

/** Parses a `clip_vision_model` configuration; missing values are those of CLIP ViT-B/32, as in `transformers`. */
export function parseClipVisionConfig(json: unknown, where: string): ClipVisionConfig {
  const fields = new Fields(json, where);
  fields.choice('model_type', ['clip_vision_model'] as const, 'clip_vision_model');
  const config = Object.freeze({
    hiddenSize: fields.positive('hidden_size', 768),
    intermediateSize: fields.positive('intermediate_size', 3072),
    numHiddenLayers: fields.positive('num_hidden_layers', 12),
    numAttentionHeads: fields.positive('num_attention_heads', 12),
    imageSize: fields.positive('image_size', 224),
    patchSize: fields.positive('patch_size', 32),
    layerNormEps: fields.number('layer_norm_eps', 1e-5),
    hiddenAct: fields.choice('hidden_act', ACTIVATION_NAMES, 'quick_gelu'),
  });
  if (config.imageSize % config.patchSize === 0) return config;
  throw new LlavaError(
    `${where}: expected image_size divisible by patch_size ${config.patchSize}, got ${config.imageSize}`,
  );
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
