/** @file Configurations of LLaVA models. */

import { LlavaError } from '../../core/index.ts';
import { Fields, type JsonObject } from '../fields.ts';
import { type LlamaConfig, parseLlamaConfig } from './language.ts';
import { type ClipVisionConfig, parseClipVisionConfig } from './vision.ts';

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
