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

/** Which blocks are run, and what of the last one's output is wanted. */
export interface BlockRange {
  /** Default 0. */
  readonly begin?: number;
  /** Default: the number of layers. */
  readonly end?: number;
  /** i64 [R]: indices b·T + t of the positions that block end − 1 gives. Default: all. */
  readonly rows?: Value | undefined;
}

/** Hidden states of the decoder and, with a cache, the extended cache of each layer. */
export interface LlamaOutput {
  /** [B·T, D], or [R, D] where rows are chosen */
  readonly hidden: Value;
  readonly present: readonly KeyValuePair[];
}

/** Where a block stands: which tokens its rows are, and which of the layers it is. */
interface Place {
  /** [B, T]: rows are all tokens of all sequences */
  readonly sizes: readonly [Dim, Dim];
  readonly layer: number;
  /** i64 [R]: the positions whose output is wanted; of all others only keys and values are needed. Default: all. */
  readonly rows: Value | undefined;
}

/** What each position takes from those it sees, before the output projection, [B·T, H·headDim]. */
function selfAttention(
  scope: Scope,
  x: Value,
  config: LlamaConfig,
  context: AttentionContext,
  { sizes, layer }: Place,
) {
  const [batch, tokens] = sizes;
  const { numAttentionHeads, numKeyValueHeads, headDim } = config;
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
  return { attended: reshape(output, [shapeSize([batch, tokens]), numAttentionHeads * headDim]), present };
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
  const { hiddenSize, rmsNormEps, outputBias: bias } = config;
  const attention = scope.at('self_attn');
  const { attended, present } = selfAttention(
    attention,
    rmsNorm(scope.at('input_layernorm'), x, rmsNormEps),
    config,
    context,
    place,
  );
  const wanted = (value: Value) => (place.rows ? gather(value, place.rows) : value);
  const h = add(wanted(x), linear(attention.at('o_proj'), wanted(attended), hiddenSize, { bias }));
  const output = add(h, mlp(scope.at('mlp'), rmsNorm(scope.at('post_attention_layernorm'), h, rmsNormEps), config));
  return { output, present };
}

/** Embeddings of token ids, any shape [...] → [..., D]. `scope` is the causal model's. */
export function llamaEmbed(scope: Scope, ids: Value, config: LlamaConfig): Value {
  return embedding(scope.at('model.embed_tokens'), ids, config.vocabSize, config.hiddenSize);
}

/**
 * Blocks [begin, end) of the decoder on what the blocks before them make of embeddings, [B, T, D]; returns rows [B·T, D]. Only
 * attention cares which rows are of one sequence. After the last block's attention the positions nobody asks about are left out.
 */
export function llamaBlocks(
  scope: Scope,
  embeds: Value,
  config: LlamaConfig,
  context: AttentionContext,
  { begin = 0, end = config.numHiddenLayers, rows }: BlockRange = {},
): LlamaOutput {
  const [batch, tokens, width] = embeds.shape as [Dim, Dim, number];
  let x = reshape(embeds, [shapeSize([batch, tokens]), width]);
  const present: KeyValuePair[] = [];
  for (let layer = begin; layer < end; layer++) {
    const place = { sizes: [batch, tokens], layer, rows: layer === end - 1 ? rows : undefined } as const;
    const result = block(scope.at(`model.layers.${layer}`), x, config, context, place);
    x = result.output;
    if (result.present) present.push(result.present);
  }
  return { hidden: x, present };
}

/** The decoder's blocks and final norm on embeddings [B, T, D] → the chosen rows [R, D]. */
export function llamaDecoder(
  scope: Scope,
  embeds: Value,
  rows: Value,
  config: LlamaConfig,
  context: AttentionContext,
): LlamaOutput {
  const { hidden, present } = llamaBlocks(scope, embeds, config, context, { rows });
  return { hidden: llamaNorm(scope, hidden, config), present };
}

/** The norm after the last block. */
export function llamaNorm(scope: Scope, hidden: Value, config: LlamaConfig): Value {
  return rmsNorm(scope.at('model.norm'), hidden, config.rmsNormEps);
}

/** Logits of hidden states [R, D] → [R, vocabulary]. */
export function llamaLogits(scope: Scope, hidden: Value, config: LlamaConfig): Value {
  const head = scope.at('lm_head');
  // A quantised head has weights of its own even where it is tied: the embedding's rows are looked up as floats.
  if (!config.tieWordEmbeddings || !isFloatFormat(head.weightFormat()))
    return linear(head, hidden, config.vocabSize, { bias: false });
  const table = scope.at('model.embed_tokens').param('weight', [config.vocabSize, config.hiddenSize]);
  return matMul(hidden, table, { transB: true });
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
