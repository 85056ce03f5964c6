/**
 * @file Configurations of language models: LLaMA, Vicuna and Yi (`llama`), Mistral, Qwen1.5 and Qwen2 (`qwen2`). They are one
 * decoder with options; a new one is a row of {@link FAMILIES}. Missing values are those of `transformers`.
 */

import { LlavaError } from '../../core/index.ts';
import { ACTIVATION_NAMES, type ActivationName, type RopeScaling } from '../../nn/index.ts';
import { Fields } from '../fields.ts';
import { parseRope } from './rope.ts';

/** Values of `model_type` that are a Llama-type decoder. */
export const LANGUAGE_TYPES = ['llama', 'mistral', 'qwen2'] as const;

/** A value of `model_type` that is a Llama-type decoder. */
export type LanguageType = (typeof LANGUAGE_TYPES)[number];

/** Whether a `model_type` is that of a Llama-type decoder. */
export function isLanguageType(type: string): type is LanguageType {
  return (LANGUAGE_TYPES as readonly string[]).includes(type);
}

/** A Llama-type decoder. */
export interface LlamaConfig {
  readonly modelType: LanguageType;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** As the file says it. */
  readonly maxPositionEmbeddings: number;
  /** Positions that a sequence may have: {@link maxPositionEmbeddings}, or more where a rope scaling extends them. */
  readonly contextLength: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Absent for plain rotary positions. */
  readonly ropeScaling: RopeScaling | undefined;
  /** Positions that a token sees, its own included; undefined for all before it. */
  readonly slidingWindow: number | undefined;
  /** The first so many layers see everything, whatever the window. */
  readonly maxWindowLayers: number;
  readonly hiddenAct: ActivationName;
  /** Query, key and value projections have a bias. */
  readonly attentionBias: boolean;
  /** The attention's output projection has a bias. */
  readonly outputBias: boolean;
  /** The three projections of the MLP have a bias. */
  readonly mlpBias: boolean;
  readonly tieWordEmbeddings: boolean;
}

/** Positions that a token of `layer` sees, its own included; undefined for all before it. */
export function layerWindow(
  { slidingWindow, maxWindowLayers }: Pick<LlamaConfig, 'slidingWindow' | 'maxWindowLayers'>,
  layer: number,
): number | undefined {
  return layer < maxWindowLayers ? undefined : slidingWindow;
}

/** What sets the families apart. */
interface Family {
  readonly vocabSize: number;
  readonly intermediateSize: number;
  /** As many as query heads where undefined. */
  readonly numKeyValueHeads: number | undefined;
  readonly maxPositionEmbeddings: number;
  readonly biases: (fields: Fields) => Pick<LlamaConfig, 'attentionBias' | 'outputBias' | 'mlpBias'>;
  readonly window: (fields: Fields, layers: number) => Pick<LlamaConfig, 'slidingWindow' | 'maxWindowLayers'>;
}

const FAMILIES: { readonly [T in LanguageType]: Family } = {
  llama: {
    vocabSize: 32000,
    intermediateSize: 11008,
    numKeyValueHeads: undefined,
    maxPositionEmbeddings: 2048,
    biases: fields => {
      const attentionBias = fields.boolean('attention_bias', false);
      return { attentionBias, outputBias: attentionBias, mlpBias: fields.boolean('mlp_bias', false) };
    },
    window: () => ({ slidingWindow: undefined, maxWindowLayers: 0 }),
  },
  mistral: {
    vocabSize: 32000,
    intermediateSize: 14336,
    numKeyValueHeads: 8,
    maxPositionEmbeddings: 131072,
    biases: () => ({ attentionBias: false, outputBias: false, mlpBias: false }),
    window: fields => ({ slidingWindow: fields.positiveOrNull('sliding_window', 4096), maxWindowLayers: 0 }),
  },
  qwen2: {
    vocabSize: 151936,
    intermediateSize: 22016,
    numKeyValueHeads: 32,
    maxPositionEmbeddings: 32768,
    biases: () => ({ attentionBias: true, outputBias: false, mlpBias: false }),
    window: qwenWindow,
  },
};

/** Parses the configuration of a language model. */
export function parseLanguageConfig(json: unknown, where: string): LlamaConfig {
  const fields = new Fields(json, where);
  const modelType = fields.choice('model_type', LANGUAGE_TYPES, 'llama');
  const family = FAMILIES[modelType];
  const hiddenSize = fields.positive('hidden_size', 4096);
  const numHiddenLayers = fields.positive('num_hidden_layers', 32);
  const numAttentionHeads = fields.positive('num_attention_heads', 32);
  const maxPositionEmbeddings = fields.positive('max_position_embeddings', family.maxPositionEmbeddings);
  return Object.freeze({
    modelType,
    vocabSize: fields.positive('vocab_size', family.vocabSize),
    hiddenSize,
    intermediateSize: fields.positive('intermediate_size', family.intermediateSize),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: keyValueHeads(fields, numAttentionHeads, family),
    headDim: headDim(fields, hiddenSize, numAttentionHeads),
    maxPositionEmbeddings,
    ...parseRope(fields, maxPositionEmbeddings),
    rmsNormEps: fields.number('rms_norm_eps', 1e-6),
    ...family.window(fields, numHiddenLayers),
    hiddenAct: fields.choice('hidden_act', ACTIVATION_NAMES, 'silu'),
    ...family.biases(fields),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', false),
  });
}

/** `null` means as many as query heads, in every family. */
function keyValueHeads(fields: Fields, queryHeads: number, family: Family): number {
  const heads = fields.positiveOrNull('num_key_value_heads', family.numKeyValueHeads) ?? queryHeads;
  if (queryHeads % heads === 0) return heads;
  throw new LlavaError(`${fields.where}: expected num_key_value_heads that divides ${queryHeads}, got ${heads}`);
}

/** Width of a head; the attention kernel wants a multiple of 8. */
function headDim(fields: Fields, hiddenSize: number, numAttentionHeads: number): number {
  const width = fields.positive('head_dim', Math.floor(hiddenSize / numAttentionHeads));
  if (width % 8 === 0) return width;
  throw new LlavaError(`${fields.where}: expected attention heads of a width that is a multiple of 8, got ${width}`);
}

/** Qwen2's window: off unless switched on, and then only from layer `max_window_layers` on. */
function qwenWindow(fields: Fields, layers: number): ReturnType<Family['window']> {
  const window = fields.positiveOrNull('sliding_window', 4096);
  const maxWindowLayers = fields.integer('max_window_layers', 28);
  if (!fields.boolean('use_sliding_window', false) || window === undefined) {
    return { slidingWindow: undefined, maxWindowLayers: 0 };
  }
  const types = fields.list('layer_types') ?? [];
  const full = types.length === 0 ? maxWindowLayers : types.filter(type => type === 'full_attention').length;
  const expected = Array.from(types, (_, i) => (i < full ? 'full_attention' : 'sliding_attention'));
  if (types.every((type, i) => type === expected[i])) {
    return { slidingWindow: window, maxWindowLayers: Math.min(Math.max(full, 0), layers) };
  }
  throw new LlavaError(`${fields.where}: expected layer_types with the full_attention layers first, got ${types}`);
}
