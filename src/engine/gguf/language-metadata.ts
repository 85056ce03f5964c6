/** @file What a GGUF file says of its language model besides the tokenizer, from the configuration. */

import { LlavaError } from '../../core/index.ts';
import type { LlamaConfig } from '../../models/index.ts';
import { type GgufValue, ropeFactors } from '../../weights/index.ts';

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const f32 = (value: number): GgufValue => ({ type: 'f32', value });
const string = (value: string): GgufValue => ({ type: 'string', value });

/** Mistral is stored as `llama`, which has its sliding window too. */
export function architectureOf({ modelType }: LlamaConfig): 'llama' | 'qwen2' {
  return modelType === 'qwen2' ? 'qwen2' : 'llama';
}

/**
 * Metadata of the language model.
 * @throws LlavaError for what the format's reader has no word for
 */
export function languageMetadata(config: LlamaConfig, where: string): [string, GgufValue][] {
  checkExpressible(config, where);
  const arch = architectureOf(config);
  const entries: Record<string, GgufValue> = {
    context_length: u32(config.maxPositionEmbeddings),
    embedding_length: u32(config.hiddenSize),
    block_count: u32(config.numHiddenLayers),
    feed_forward_length: u32(config.intermediateSize),
    vocab_size: u32(config.vocabSize),
    'attention.head_count': u32(config.numAttentionHeads),
    'attention.head_count_kv': u32(config.numKeyValueHeads),
    'attention.key_length': u32(config.headDim),
    'attention.value_length': u32(config.headDim),
    'attention.layer_norm_rms_epsilon': f32(config.rmsNormEps),
    'rope.dimension_count': u32(config.headDim),
    'rope.freq_base': f32(config.ropeTheta),
    ...linearScaling(config),
  };
  return Object.entries(entries).map(([key, value]) => [`${arch}.${key}`, value]);
}

function linearScaling({ ropeScaling }: LlamaConfig): Record<string, GgufValue> {
  if (ropeScaling?.type !== 'linear') return {};
  return { 'rope.scaling.type': string('linear'), 'rope.scaling.factor': f32(ropeScaling.factor) };
}

/** llama.cpp's `llama` and `qwen2` see the whole context and gate with SiLU. */
function checkExpressible(config: LlamaConfig, where: string): void {
  const { hiddenAct, ropeScaling, slidingWindow, maxPositionEmbeddings, modelType, outputBias, mlpBias } = config;
  const refuse = (expected: string, got: string): never => {
    throw new LlavaError(`${where}: expected ${expected} for GGUF, got ${got}`);
  };
  if (hiddenAct !== 'silu') refuse('hidden_act silu', hiddenAct);
  if (ropeScaling?.type === 'dynamic') refuse('rope scaling linear or llama3', 'dynamic');
  if (slidingWindow !== undefined && slidingWindow < maxPositionEmbeddings) {
    refuse(`attention to all of the context (${maxPositionEmbeddings})`, `a sliding window of ${slidingWindow}`);
  }
  if (modelType === 'qwen2' && (outputBias || mlpBias)) refuse('biases of queries, keys and values only', 'others');
}

/** Llama 3.1's frequency divisors, which lie in a tensor of their own; undefined where there are none. */
export function frequencyDivisors({ ropeScaling, ropeTheta, headDim }: LlamaConfig): Float32Array | undefined {
  if (ropeScaling?.type !== 'llama3') return undefined;
  const scaling = {
    rope_type: 'llama3' as const,
    factor: ropeScaling.factor,
    low_freq_factor: ropeScaling.lowFrequencyFactor,
    high_freq_factor: ropeScaling.highFrequencyFactor,
    original_max_position_embeddings: ropeScaling.originalPositions,
  };
  return ropeFactors(scaling, ropeTheta, headDim / 2);
}
