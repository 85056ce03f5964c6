/**
 * @file Llama-type decoders (Touvron et al. 2023; Mistral, Qwen2 by options): pre-norm blocks of rotary attention and a gated
 * MLP. Names as in `transformers`. Shapes: B sequences, T tokens, D hidden width, P cache positions.
 */

import {
  add,
  type Dim,
  gather,
  groupQueryAttention,
  input,
  type KeyValuePair,
  matMul,
  mul,
  reshape,
  rotaryEmbedding,
  shapeSize,
  type Value,
} from '../../graph/index.ts';
import {
  activate,
  attend,
  embedding,
  linear,
  mergeHeads,
  type RotaryTables,
  repeatKeyValueHeads,
  rmsNorm,
  type Scope,
  splitHeads,
} from '../../nn/index.ts';
import { type LlamaConfig, layerWindow } from '../config/index.ts';
import { isFloatFormat } from '../quantization.ts';

/** What attention sees: the whole sequence at once (training), or a cache that each run extends (inference). */
export type AttentionContext =
  | {
      readonly kind: 'full';
      readonly positions: Value;
      readonly masks: readonly Value[];
      readonly tables: RotaryTables;
    }
  | {
      readonly kind: 'cached';
      readonly past: readonly KeyValuePair[];
      /** i32 [B]: valid positions after this run, minus one */
      readonly lastPosition: Value;
      /** i32 scalar: the largest number of valid positions after this run */
      readonly totalLength: Value;
      readonly tables: RotaryTables;
    };

/** Hidden states of the decoder and, with a cache, the extended cache of each layer. */
export interface LlamaOutput {
  /** [B·T, D] */
  readonly hidden: Value;
  readonly present: readonly KeyValuePair[];
}

/** Where a block stands: which tokens its rows are, and which of the layers it is. */
interface Place {
  /** [B, T]: rows are all tokens of all sequences, R = B·T */
  readonly sizes: readonly [Dim, Dim];
  readonly layer: number;
}

function attention(scope: Scope, x: Value, config: LlamaConfig, context: AttentionContext, { sizes, layer }: Place) {
  const [batch, tokens] = sizes;
  const { numAttentionHeads, numKeyValueHeads, headDim, hiddenSize } = config;
  const bias = config.attentionBias;
  const project = (name: string, heads: number) =>
    reshape(linear(scope.at(name), x, heads * headDim, { bias }), [batch, tokens, heads * headDim]);
  const query = project('q_proj', numAttentionHeads);
  const key = project('k_proj', numKeyValueHeads);
  const value = project('v_proj', numKeyValueHeads);
  const { output, present } =
    context.kind === 'full'
      ? { output: fullAttention(query, key, value, config, context, layer), present: undefined }
      : groupQueryAttention(
          { query, key, value, ...context, ...context.tables, past: context.past[layer]! },
          { numHeads: numAttentionHeads, numKeyValueHeads, slidingWindow: layerWindow(config, layer) ?? -1 },
        );
  const rows = reshape(output, [shapeSize([batch, tokens]), numAttentionHeads * headDim]);
  return { output: linear(scope.at('o_proj'), rows, hiddenSize, { bias: config.outputBias }), present };
}

function fullAttention(
  query: Value,
  key: Value,
  value: Value,
  { numAttentionHeads, numKeyValueHeads }: LlamaConfig,
  { positions, masks, tables }: Extract<AttentionContext, { kind: 'full' }>,
  layer: number,
): Value {
  const rotate = (x: Value) => rotaryEmbedding(x, positions, tables.cosTable, tables.sinTable);
  const groups = numAttentionHeads / numKeyValueHeads;
  const q = rotate(splitHeads(query, numAttentionHeads));
  const k = repeatKeyValueHeads(rotate(splitHeads(key, numKeyValueHeads)), groups);
  const v = repeatKeyValueHeads(splitHeads(value, numKeyValueHeads), groups);
  return mergeHeads(attend(q, k, v, masks[layer]!));
}

function mlp(scope: Scope, x: Value, { intermediateSize, hiddenSize, hiddenAct, mlpBias: bias }: LlamaConfig): Value {
  const gate = activate(hiddenAct, linear(scope.at('gate_proj'), x, intermediateSize, { bias }));
  const up = linear(scope.at('up_proj'), x, intermediateSize, { bias });
  return linear(scope.at('down_proj'), mul(gate, up), hiddenSize, { bias });
}

function block(scope: Scope, x: Value, config: LlamaConfig, context: AttentionContext, place: Place) {
  const normed = rmsNorm(scope.at('input_layernorm'), x, config.rmsNormEps);
  const attended = attention(scope.at('self_attn'), normed, config, context, place);
  const h = add(x, attended.output);
  const output = add(
    h,
    mlp(scope.at('mlp'), rmsNorm(scope.at('post_attention_layernorm'), h, config.rmsNormEps), config),
  );
  return { output, present: attended.present };
}

/** Embeddings of token ids, any shape [...] → [..., D]. `scope` is the causal model's. */
export function llamaEmbed(scope: Scope, ids: Value, config: LlamaConfig): Value {
  return embedding(scope.at('model.embed_tokens'), ids, config.vocabSize, config.hiddenSize);
}

/**
 * Blocks [begin, end) of the decoder on what the blocks before them make of embeddings, [B, T, D]; returns rows [B·T, D]. Only
 * attention cares which rows are of one sequence.
 */
export function llamaBlocks(
  scope: Scope,
  embeds: Value,
  config: LlamaConfig,
  context: AttentionContext,
  { begin = 0, end = config.numHiddenLayers }: { begin?: number; end?: number } = {},
): LlamaOutput {
  const [batch, tokens, width] = embeds.shape as [Dim, Dim, number];
  let x = reshape(embeds, [shapeSize([batch, tokens]), width]);
  const present: KeyValuePair[] = [];
  for (let i = begin; i < end; i++) {
    const result = block(scope.at(`model.layers.${i}`), x, config, context, { sizes: [batch, tokens], layer: i });
    x = result.output;
    if (result.present) present.push(result.present);
  }
  return { hidden: x, present };
}

/** The decoder's blocks and final norm on embeddings [B, T, D] → rows [B·T, D]. */
export function llamaDecoder(scope: Scope, embeds: Value, config: LlamaConfig, context: AttentionContext): LlamaOutput {
  const { hidden, present } = llamaBlocks(scope, embeds, config, context);
  return { hidden: llamaNorm(scope, hidden, config), present };
}

/** The norm after the last block. */
export function llamaNorm(scope: Scope, hidden: Value, config: LlamaConfig): Value {
  return rmsNorm(scope.at('model.norm'), hidden, config.rmsNormEps);
}

/** Logits of chosen positions only: `rows` [R] are indices b·T + t into the hidden states [B·T, D] → [R, vocabulary]. */
export function llamaLogits(scope: Scope, hidden: Value, rows: Value, config: LlamaConfig): Value {
  const chosen = gather(hidden, rows);
  const head = scope.at('lm_head');
  // A quantised head has weights of its own even where it is tied: the embedding's rows are looked up as floats.
  if (!config.tieWordEmbeddings || !isFloatFormat(head.weightFormat()))
    return linear(head, chosen, config.vocabSize, { bias: false });
  const table = scope.at('model.embed_tokens').param('weight', [config.vocabSize, config.hiddenSize]);
  return matMul(chosen, table, { transB: true });
}

/** Types that keys and values are kept in: f16 takes half the memory. */
export const CACHE_TYPES = ['f32', 'f16'] as const;

/** One of {@link CACHE_TYPES}. */
export type CacheType = (typeof CACHE_TYPES)[number];

/** Cache inputs of every layer, named `past.<layer>.key|value`, [B, K, P, D]. */
export function cacheInputs(config: LlamaConfig, batch: Dim, capacity: Dim, dtype: CacheType): KeyValuePair[] {
  const shape = [batch, config.numKeyValueHeads, capacity, config.headDim];
  return Array.from({ length: config.numHiddenLayers }, (_, i) => ({
    key: input(`past.${i}.key`, dtype, shape),
    value: input(`past.${i}.value`, dtype, shape),
  }));
}

/** Graph outputs of the extended cache, named `present.<layer>.key|value`, from layer `begin` on. */
export function cacheOutputs(present: readonly KeyValuePair[], begin = 0): Record<string, Value> {
  return Object.fromEntries(
    present.flatMap(({ key, value }, i) => [
      [`present.${begin + i}.key`, key],
      [`present.${begin + i}.value`, value],
    ]),
  );
}
