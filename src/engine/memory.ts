/**
 * @file How much memory a model takes: an account of what the process holds once it has answered, from shapes and stored
 * types alone. Compared with the resident memory of real processes in test/cpu/convert.
 */

import { dtypeSize, isFloat, sizeOf } from '../core/index.ts';
import type { Graph } from '../graph/index.ts';
import { type CacheType, type LlamaConfig, type LlavaConfig, patchesPerSide } from '../models/index.ts';
import type { WeightEntry } from '../weights/index.ts';
import { TILES_PER_RUN } from './image-encoder.ts';
import { cacheBytes } from './kv-cache.ts';
import { type ModelFiles, modelGraphs } from './model-folder.ts';
import { LARGEST_CHUNK } from './sequence.ts';

/** Bytes of memory that answering takes. */
export interface MemoryNeed {
  /** All of the below. */
  readonly total: number;
  /** All weights, in the form in which they are computed with. */
  readonly weights: number;
  /** Keys and values of one conversation at full context. */
  readonly cache: number;
  /** Largest intermediate results, estimated. */
  readonly buffers: number;
  /** The program itself: Node, ONNX Runtime, image decoder. */
  readonly program: number;
}

/** Measured: Node 20 with ONNX Runtime 1.30 and sharp on Linux, less the model. */
const PROGRAM_BYTES = 75e6;

/** @param weights absent where they cannot be read: then all are taken to be stored in 32 bits */
export function memoryNeed(
  files: ModelFiles,
  weights: ReadonlyMap<string, WeightEntry> | undefined,
  cacheType: CacheType = 'f32',
): MemoryNeed {
  const { config, language } = files;
  const graphs = Object.values(modelGraphs(files)).filter((graph): graph is Graph => graph !== undefined);
  const parts = {
    weights: graphs.reduce((sum, graph) => sum + weightBytes(graph, weights), 0),
    cache: cacheBytes(language, language.contextLength, cacheType),
    buffers: decoderBuffers(language) + (config.modelType === 'llava' ? visionBuffers(config) : 0),
    program: PROGRAM_BYTES,
  };
  return { total: parts.weights + parts.cache + parts.buffers + parts.program, ...parts };
}

/**
 * Floats are converted to 32 bits, but for tables of which only rows are read. With weights in blocks ONNX Runtime keeps, for each
 * scale, what it weighs the block's zero point with, too.
 */
function weightBytes(graph: Graph, weights: ReadonlyMap<string, WeightEntry> | undefined): number {
  return graph.params.reduce((sum, { name, dtype, shape }) => {
    const stored = weights?.get(name)?.dtype;
    const isTable =
      name.endsWith('embed_tokens.weight') && graph.params.some(other => other.name.endsWith('lm_head.weight'));
    const held = isTable && stored !== undefined && isFloat(stored) ? stored : dtype;
    const copies = name.endsWith('.scale') && shape.length === 2 ? 2 : 1;
    return sum + copies * sizeOf(shape as readonly number[]) * dtypeSize(held);
  }, 0);
}

/** Eight tensors as wide as the model and three as wide as its MLP, for one chunk of a prompt; and the logits. */
function decoderBuffers({ hiddenSize, intermediateSize, vocabSize, contextLength }: LlamaConfig): number {
  const positions = Math.min(LARGEST_CHUNK, contextLength);
  return 4 * (positions * (8 * hiddenSize + 3 * intermediateSize) + vocabSize);
}

/** The same for the tiles of one run, and two matrices of attention scores. */
function visionBuffers({ vision, anyres }: LlavaConfig): number {
  const tokens = patchesPerSide(vision) ** 2 + 1;
  const scores = 2 * vision.numAttentionHeads * tokens ** 2;
  const perTile = 4 * (tokens * (8 * vision.hiddenSize + 2 * vision.intermediateSize) + scores);
  return (anyres ? TILES_PER_RUN : 1) * perTile;
}
