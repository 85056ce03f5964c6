/**
 * @file Model configurations. The snake_case `config.json` of a checkpoint is parsed once, here, into frozen typed
 * objects; keys this library does not know are kept in `extra`, since published files carry many.
 */

import { LlavaError } from '../core/index.ts';
import { ACTIVATION_NAMES, type ActivationName } from '../nn/index.ts';
import { Fields, type JsonObject } from './fields.ts';

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

/** A Llama-type decoder. */
export interface LlamaConfig {
  readonly modelType: 'llama';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly hiddenAct: ActivationName;
  readonly tieWordEmbeddings: boolean;
}

/** `linear`, or `mlpNx_gelu`: N linear layers with exact GELU between them. */
export type ProjectorType = 'linear' | `mlp${number}x_gelu`;

/** A LLaVA: vision tower, projector, language model. */
export interface LlavaConfig {
  readonly modelType: 'llava';
  readonly vision: ClipVisionConfig;
  readonly language: LlamaConfig;
  readonly projectorType: ProjectorType;
  readonly projectorBias: boolean;
  /** Index into the tower's hidden states; −2 is the output of the last block but one. */
  readonly visionFeatureLayer: number;
  /** `patch` drops the class token, `cls_patch` keeps it. */
  readonly visionFeatureSelect: 'patch' | 'cls_patch';
  /** Id of `<image>` in the tokenizer's vocabulary. */
  readonly imageTokenId: number;
  /** Keys of the file that are not used here. */
  readonly extra: JsonObject;
}

/** Any model this library can build. */
export type ModelConfig = LlavaConfig | LlamaConfig | ClipConfig;

const LANGUAGE_TYPES = ['llama'] as const;

/** Parses a decoded `config.json`. `where` names the file in errors. Throws {@link LlavaError} on an unsupported type. */
export function parseModelConfig(json: unknown, where: string): ModelConfig {
  const fields = new Fields(json, where);
  const type = fields.string('model_type');
  if (type === 'llava') return parseLlavaConfig(json, where);
  if (type === 'llama') return parseLlamaConfig(json, where);
  if (type === 'clip') return parseClipConfig(json, where);
  throw new LlavaError(`${where}: expected model_type llava, llama or clip, got ${type}`);
}

/** Parses a Hugging Face `llava` configuration (LLaVA v1 and v1.5). */
export function parseLlavaConfig(json: unknown, where: string): LlavaConfig {
  const fields = new Fields(json, where);
  const strategy = fields.choice('vision_feature_select_strategy', ['default', 'full'], 'default');
  return Object.freeze({
    modelType: 'llava',
    vision: parseClipVisionConfig(fields.object('vision_config'), `${where}: vision_config`),
    language: parseLlamaConfig(fields.object('text_config'), `${where}: text_config`),
    projectorType: parseProjectorType(fields.string('mm_projector_type', 'mlp2x_gelu'), where),
    projectorBias: fields.boolean('multimodal_projector_bias', true),
    visionFeatureLayer: fields.integer('vision_feature_layer', -2),
    visionFeatureSelect: strategy === 'default' ? 'patch' : 'cls_patch',
    imageTokenId: fields.integer('image_token_index', fields.integer('image_token_id', 32000)),
    extra: fields.rest(),
  });
}

function parseProjectorType(text: string, where: string): ProjectorType {
  if (text === 'linear' || /^mlp[1-9]\d*x_gelu$/.test(text)) return text as ProjectorType;
  throw new LlavaError(`${where}: expected mm_projector_type linear or mlpNx_gelu, got ${text}`);
}

/** Number of linear layers of a projector. */
export function projectorDepth(type: ProjectorType): number {
  return type === 'linear' ? 1 : Number(/\d+/.exec(type)![0]);
}

/** Parses a `llama` configuration; missing values are those of LLaMA-7B, as in `transformers`. */
export function parseLlamaConfig(json: unknown, where: string): LlamaConfig {
  const fields = new Fields(json, where);
  fields.choice('model_type', LANGUAGE_TYPES, 'llama');
  const hiddenSize = fields.positive('hidden_size', 4096);
  const numAttentionHeads = fields.positive('num_attention_heads', 32);
  return Object.freeze({
    modelType: 'llama',
    vocabSize: fields.positive('vocab_size', 32000),
    hiddenSize,
    intermediateSize: fields.positive('intermediate_size', 11008),
    numHiddenLayers: fields.positive('num_hidden_layers', 32),
    numAttentionHeads,
    numKeyValueHeads: fields.positive('num_key_value_heads', numAttentionHeads),
    headDim: headDim(fields, hiddenSize, numAttentionHeads),
    maxPositionEmbeddings: fields.positive('max_position_embeddings', 2048),
    rmsNormEps: fields.number('rms_norm_eps', 1e-6),
    ropeTheta: ropeTheta(fields),
    hiddenAct: fields.choice('hidden_act', ACTIVATION_NAMES, 'silu'),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', false),
  });
}

/** Width of a head; the attention kernel wants a multiple of 8. */
function headDim(fields: Fields, hiddenSize: number, numAttentionHeads: number): number {
  const width = fields.positive('head_dim', Math.floor(hiddenSize / numAttentionHeads));
  if (width % 8 === 0) return width;
  throw new LlavaError(`${fields.where}: expected attention heads of a width that is a multiple of 8, got ${width}`);
}

/** Older files have `rope_theta`, transformers 5 writes `rope_parameters: {rope_theta, rope_type}`. */
function ropeTheta(fields: Fields): number {
  const nested = fields.optionalObject('rope_parameters') ?? fields.optionalObject('rope_scaling');
  if (!nested) return fields.number('rope_theta', 10000);
  const rope = new Fields(nested, 'rope_parameters');
  rope.choice('rope_type', ['default'] as const, 'default');
  return rope.number('rope_theta', fields.number('rope_theta', 10000));
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
