/**
 * @file A language model out of a GGUF file of architecture `llama` (LLaMA, Vicuna, Mistral, Yi) or `qwen2`: its
 * configuration under the keys of a Hugging Face `config.json`, so that it parses like one, and its weights under Hugging
 * Face's names and in its order of rows: `llama` files keep the rows of queries and keys in pairs.
 */

import { assert, type HostTensor, hostTensor, LlavaError, toFloat32 } from '../../core/index.ts';
import { listNames } from '../files.ts';
import { toHalves } from '../rotary-rows.ts';
import { readTensor, storedBytes, type WeightEntry } from '../tensor-entry.ts';
import type { MetadataFields } from './metadata.ts';
import { LANGUAGE_NAMES, renamer } from './names.ts';
import { openGguf } from './open.ts';
import { factorsScaling } from './rope-factors.ts';
import type { GgufMetadata } from './types.ts';

/** A language model as Hugging Face would describe it. */
export interface GgufLanguage {
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly fields: MetadataFields;
  readonly config: Readonly<Record<string, unknown>>;
  readonly entries: ReadonlyMap<string, WeightEntry>;
}

const ARCHITECTURES = ['llama', 'qwen2'];
/** Factors of Llama-3.1's rotary frequencies: part of the configuration, not weights. */
const ROPE_FACTORS = 'rope_freqs.weight';

/**
 * Opens a language model.
 * @throws LlavaError that names the file and the key or tensors at fault
 */
export function openGgufLanguage(path: string): GgufLanguage {
  const { path: file, metadata, fields, entries } = openGguf(path);
  const architecture = fields.string('general.architecture');
  if (!ARCHITECTURES.includes(architecture)) {
    throw new LlavaError(
      `${file}: expected general.architecture ${ARCHITECTURES.join(' or ')} for a language model, got ${architecture}`,
    );
  }
  if (fields.count('split.count', 0) > 1) {
    throw new LlavaError(
      `${file}: expected a whole model in one file, got one of ${fields.count('split.count')} parts`,
    );
  }
  const config = { ...readConfig(fields, architecture, entries), ...readRope(fields, architecture, entries) };
  return { path: file, metadata, fields, config, entries: huggingFaceEntries(file, architecture, config, entries) };
}

type Shape = ReturnType<typeof readConfig>;

function readConfig(fields: MetadataFields, architecture: string, entries: ReadonlyMap<string, WeightEntry>) {
  const count = (key: string, fallback?: number): number => fields.count(`${architecture}.${key}`, fallback);
  const hiddenSize = count('embedding_length');
  const heads = count('attention.head_count');
  const headDim = count('attention.key_length', Math.floor(hiddenSize / heads));
  checkHeads(fields, architecture, headDim);
  const window = count('attention.sliding_window', 0);
  return {
    model_type: architecture === 'llama' && window > 0 ? 'mistral' : architecture,
    hidden_size: hiddenSize,
    intermediate_size: count('feed_forward_length'),
    num_hidden_layers: count('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: count('attention.head_count_kv', heads),
    head_dim: headDim,
    max_position_embeddings: count('context_length'),
    rms_norm_eps: fields.number(`${architecture}.attention.layer_norm_rms_epsilon`),
    vocab_size: entries.get('token_embd.weight')?.shape[0] ?? 0,
    tie_word_embeddings: !entries.has('output.weight'),
    attention_bias: entries.has('blk.0.attn_q.bias'),
    mlp_bias: entries.has('blk.0.ffn_up.bias'),
    ...(window > 0 && { sliding_window: window }),
  };
}

/** All of a head is rotated, and values are as wide as keys. */
function checkHeads(fields: MetadataFields, architecture: string, headDim: number): void {
  for (const key of ['rope.dimension_count', 'attention.value_length']) {
    const value = fields.count(`${architecture}.${key}`, headDim);
    if (value === headDim) continue;
    throw new LlavaError(
      `${fields.where}: expected ${architecture}.${key} ${headDim}, the width of a head, got ${value}`,
    );
  }
  const experts = fields.count(`${architecture}.expert_count`, 0);
  if (experts > 0) throw new LlavaError(`${fields.where}: expected a model without experts, got ${experts}`);
}

function readRope(fields: MetadataFields, architecture: string, entries: ReadonlyMap<string, WeightEntry>) {
  const theta = fields.number(`${architecture}.rope.freq_base`, 10000);
  const type = fields.optionalString(`${architecture}.rope.scaling.type`) ?? 'none';
  const factors = entries.get(ROPE_FACTORS);
  const factor = fields.number(`${architecture}.rope.scaling.factor`, 1);
  if (factors) {
    const scaling = factorsScaling(toFloat32(readTensor(factors)), theta);
    if (scaling) return { rope_theta: theta, rope_scaling: scaling };
    throw new LlavaError(`${fields.where}: expected ${ROPE_FACTORS} to be Llama 3.1's frequency factors, got others`);
  }
  return { rope_theta: theta, ...(type !== 'none' && { rope_scaling: { rope_type: type, factor } }) };
}

function huggingFaceEntries(
  file: string,
  architecture: string,
  config: Shape,
  entries: ReadonlyMap<string, WeightEntry>,
): Map<string, WeightEntry> {
  const rename = renamer(LANGUAGE_NAMES, 'to-hf');
  const named = new Map<string, WeightEntry>();
  const strange: string[] = [];
  for (const entry of entries.values()) {
    if (entry.name === ROPE_FACTORS) continue;
    const name = rename(entry.name);
    if (name === undefined) strange.push(entry.name);
    else named.set(name, architecture === 'llama' ? unpaired({ ...entry, name }, config) : { ...entry, name });
  }
  if (strange.length === 0) return named;
  throw new LlavaError(`${file}: expected tensors of a ${architecture} model, got ${listNames(strange)}`);
}

/** Queries and keys with their rows in halves; other entries as they are. */
function unpaired(entry: WeightEntry, config: Shape): WeightEntry {
  if (!/\.self_attn\.[qk]_proj\./.test(entry.name)) return entry;
  const { name, dtype, shape, file } = entry;
  const rows = shape[0]!;
  if (rows % config.head_dim !== 0) {
    throw new LlavaError(`${file}: tensor "${name}": expected rows in heads of ${config.head_dim}, got ${rows}`);
  }
  const compute = (): HostTensor => {
    const stored = readTensor(entry);
    assert(stored.data.length % rows === 0, `${name} has ${stored.data.length} elements in ${rows} rows`);
    return hostTensor(dtype, shape, toHalves(stored.data, config.head_dim, stored.data.length / rows));
  };
  return { name, dtype, shape, file, storedBytes: storedBytes(entry), compute };
}
