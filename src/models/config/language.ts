/** @file Configurations of language models. */

import { LlavaError } from '../../core/index.ts';
import { ACTIVATION_NAMES, type ActivationName } from '../../nn/index.ts';
import { Fields } from '../fields.ts';

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

const LANGUAGE_TYPES = ['llama'] as const;

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
