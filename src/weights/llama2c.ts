/**
 * @file Reader of the files of llama2.c (karpathy/llama2.c): the legacy checkpoint, seven i32 and then f32 weights, all
 * layers of one kind together; and the tokenizer file. Tensors come out under Hugging Face names and in its layout of
 * rotary dimensions, so that our Llama runs them. Source: `run.c` (struct Config, memory_map_weights, build_tokenizer).
 */

import { type HostTensor, hostTensor, LlavaError, sizeOf, viewBytes } from '../core/index.ts';
import { readFileBytes } from './files.ts';
import { toHalves } from './rotary-rows.ts';

/**
 * Shape of a model, under the keys of a Hugging Face `config.json` of type llama, so that it parses like one.
 * `rms_norm_eps` and `rope_theta` are constants of llama2.c.
 */
export interface Llama2cConfig {
  readonly model_type: 'llama';
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: 1e-5;
  readonly rope_theta: 1e4;
  readonly tie_word_embeddings: boolean;
}

/** A model: f32 tensors named as in Hugging Face Llama checkpoints; `lm_head.weight` only when it is not tied. */
export interface Llama2cModel {
  readonly config: Llama2cConfig;
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** A token as bytes, with the score that orders its merges. */
export interface ScoredPiece {
  readonly bytes: Uint8Array;
  readonly score: number;
}

const MAX_FILE_BYTES = 2 ** 32;
const HEADER_INTS = 7;
const MAX_LAYERS = 1000;

/** Reads a legacy `.bin` checkpoint. Throws LlavaError when its size is not the one that its header asks for. */
export function readLlama2c(path: string): Llama2cModel {
  return parseLlama2c(readFileBytes(path, 'a llama2.c checkpoint', MAX_FILE_BYTES), path);
}

/** {@link readLlama2c} on bytes; `where` names them in errors. */
export function parseLlama2c(bytes: Uint8Array, where: string): Llama2cModel {
  const config = parseConfig(bytes, where);
  const blocks = listBlocks(config);
  const floats = blocks.reduce((sum, block) => sum + sizeOf(block.shape) * block.names.length, 0);
  const expected = 4 * (HEADER_INTS + floats);
  if (bytes.length !== expected) {
    throw new LlavaError(`${where}: expected ${expected} bytes for its header, got ${bytes.length}`);
  }
  return { config, tensors: readBlocks(viewBytes('f32', bytes.subarray(4 * HEADER_INTS)) as Float32Array, blocks) };
}

/** Header: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size (negative: classifier of its own), seq_len. */
function parseConfig(bytes: Uint8Array, where: string): Llama2cConfig {
  if (bytes.length < 4 * HEADER_INTS) {
    throw new LlavaError(`${where}: expected a llama2.c checkpoint, got ${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const ints = Array.from({ length: HEADER_INTS }, (_, i) => view.getInt32(4 * i, true));
  const [dim = 0, hidden = 0, layers = 0, heads = 0, kvHeads = 0, vocab = 0, seqLen = 0] = ints;
  const counts = [dim, hidden, layers, heads, kvHeads, Math.abs(vocab), seqLen];
  const divisible = dim % (2 * heads) === 0 && heads % kvHeads === 0;
  if (counts.some(count => count <= 0) || layers > MAX_LAYERS || !divisible) {
    throw new LlavaError(`${where}: expected the seven numbers of a llama2.c header, got ${ints.join(', ')}`);
  }
  return {
    model_type: 'llama',
    hidden_size: dim,
    intermediate_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: Math.abs(vocab),
    max_position_embeddings: seqLen,
    rms_norm_eps: 1e-5,
    rope_theta: 1e4,
    tie_word_embeddings: vocab > 0,
  };
}

/** Tensors of one shape that follow each other in the file: one per layer, or a single one. No names: skipped. */
interface Block {
  readonly names: readonly string[];
  readonly shape: readonly number[];
  /** Rows of queries and keys are paired (0,1), (2,3)… within each head of this many rows. */
  readonly rotaryHeadSize?: number;
  readonly skip?: true;
}

/** The file's order of weights. */
function listBlocks(config: Llama2cConfig): Block[] {
  const { hidden_size: hiddenSize, intermediate_size: intermediateSize, vocab_size: vocabSize } = config;
  const headSize = hiddenSize / config.num_attention_heads;
  const kvSize = headSize * config.num_key_value_heads;
  const rotaryTable = [config.max_position_embeddings, headSize / 2];
  const layers = (suffix: string): string[] =>
    Array.from({ length: config.num_hidden_layers }, (_, i) => `model.layers.${i}.${suffix}.weight`);
  return [
    { names: ['model.embed_tokens.weight'], shape: [vocabSize, hiddenSize] },
    { names: layers('input_layernorm'), shape: [hiddenSize] },
    { names: layers('self_attn.q_proj'), shape: [hiddenSize, hiddenSize], rotaryHeadSize: headSize },
    { names: layers('self_attn.k_proj'), shape: [kvSize, hiddenSize], rotaryHeadSize: headSize },
    { names: layers('self_attn.v_proj'), shape: [kvSize, hiddenSize] },
    { names: layers('self_attn.o_proj'), shape: [hiddenSize, hiddenSize] },
    { names: layers('post_attention_layernorm'), shape: [hiddenSize] },
    { names: layers('mlp.gate_proj'), shape: [intermediateSize, hiddenSize] },
    { names: layers('mlp.down_proj'), shape: [hiddenSize, intermediateSize] },
    { names: layers('mlp.up_proj'), shape: [intermediateSize, hiddenSize] },
    { names: ['model.norm.weight'], shape: [hiddenSize] },
    { names: ['cosines', 'sines'], shape: rotaryTable, skip: true },
    ...(config.tie_word_embeddings ? [] : [{ names: ['lm_head.weight'], shape: [vocabSize, hiddenSize] }]),
  ];
}

function readBlocks(floats: Float32Array, blocks: readonly Block[]): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  let begin = 0;
  for (const { names, shape, rotaryHeadSize, skip } of blocks) {
    for (const name of names) {
      const values = floats.subarray(begin, begin + sizeOf(shape));
      begin += values.length;
      const data = rotaryHeadSize ? toHalves(values, rotaryHeadSize, shape[1]!) : values.slice();
      if (!skip) tensors.set(name, hostTensor('f32', shape, data));
    }
  }
  return tensors;
}

/** Reads a tokenizer file: the pieces in the order of their ids. */
export function readLlama2cTokenizer(path: string): ScoredPiece[] {
  return parseLlama2cTokenizer(readFileBytes(path, 'a llama2.c tokenizer', MAX_FILE_BYTES), path);
}

/** {@link readLlama2cTokenizer} on bytes: i32 longest length, then for each piece its f32 score, i32 length and bytes. */
export function parseLlama2cTokenizer(bytes: Uint8Array, where: string): ScoredPiece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw new LlavaError(`${where}: expected a llama2.c tokenizer, got ${bytes.length} bytes`);
  const longest = view.getInt32(0, true);
  const pieces: ScoredPiece[] = [];
  let offset = 4;
  while (offset < bytes.length) {
    const room = bytes.length - offset - 8;
    const length = room < 0 ? -1 : view.getInt32(offset + 4, true);
    if (length < 0 || length > Math.min(longest, room)) {
      const got = room < 0 ? `${room + 8} bytes` : `a length of ${length}`;
      const expected = `a score, a length up to ${longest} and its bytes for piece ${pieces.length}`;
      throw new LlavaError(`${where}: byte ${offset}: expected ${expected}, got ${got}`);
    }
    pieces.push({ score: view.getFloat32(offset, true), bytes: bytes.slice(offset + 8, offset + 8 + length) });
    offset += 8 + length;
  }
  return pieces;
}
