/** @file What a model is and what it will need, from its configuration and the headers of its weights alone. */

import { type DType, LlavaError, sizeOf } from '../core/index.ts';
import { type LlamaConfig, type LlavaConfig, maxImageTokens, patchesPerSide } from '../models/index.ts';
import { storedBytes, type WeightEntry } from '../weights/index.ts';
import { chooseTemplate } from './choose-template.ts';
import { TILES_PER_RUN } from './image-encoder.ts';
import { cacheBytes } from './kv-cache.ts';
import { type FolderOptions, type ModelFolder, modelGraphs, openModelFolder, paramSources } from './model-folder.ts';
import { PREFILL_CHUNK } from './sequence.ts';

/** Part of a model, as stored. */
export interface PartDescription {
  readonly name: 'vision tower' | 'projector' | 'language model';
  readonly parameters: number;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly dtypes: readonly DType[];
}

/** Bytes of memory that answering takes. */
export interface MemoryNeed {
  /** All weights, in f32. */
  readonly weights: number;
  /** Keys and values of one conversation at full context. */
  readonly cache: number;
  /** Largest intermediate results, estimated. */
  readonly buffers: number;
}

/** A model's description. */
export interface ModelDescription {
  readonly name: string;
  readonly folder: string;
  readonly config: LlavaConfig | LlamaConfig;
  readonly parts: readonly PartDescription[];
  readonly contextLength: number;
  /** Of an image, at most where that depends on its size; 0 for a language model alone. */
  readonly tokensPerImage: number;
  /** Absent where the folder has no usable tokenizer. */
  readonly template: string | undefined;
  readonly tokenizerSize: number | undefined;
  readonly memory: MemoryNeed;
  /** What would keep the model from loading. */
  readonly problems: readonly string[];
}

/** Describes the model in a folder. Throws {@link LlavaError} when its configuration or headers cannot be read. */
export function describeModel(path: string, options: FolderOptions = {}): ModelDescription {
  const folder = openModelFolder(path, options);
  const { config, language } = folder;
  const problems: string[] = [];
  const tokenizer = attempt(problems, () => folder.tokenizer());
  const used = attempt(problems, () => usedParameters(folder));
  const parts = describeParts(folder.weights);
  const parameters = parts.reduce((sum, part) => sum + part.parameters, 0);
  return {
    name: folder.name,
    folder: folder.folder,
    config,
    parts,
    contextLength: language.contextLength,
    tokensPerImage: config.modelType === 'llava' ? maxImageTokens(config) : 0,
    template: tokenizer && chooseTemplate(folder, tokenizer).name,
    tokenizerSize: tokenizer?.vocabSize,
    memory: {
      weights: 4 * (used ?? parameters),
      cache: cacheBytes(language, language.contextLength),
      buffers: Math.max(decoderBuffers(language), config.modelType === 'llava' ? visionBuffers(config) : 0),
    },
    problems,
  };
}

/** The result, or undefined and one problem more. */
function attempt<T>(problems: string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LlavaError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

/** Parameters that answering uses. Throws {@link LlavaError} when the weights are not those of the configuration. */
function usedParameters(folder: ModelFolder): number {
  const { decoder, vision } = modelGraphs(folder);
  const graphs = vision ? [decoder, vision] : [decoder];
  paramSources(folder, graphs);
  const sizes = graphs.flatMap(graph => graph.params.map(({ shape }) => sizeOf(shape as readonly number[])));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function describeParts(weights: ReadonlyMap<string, WeightEntry>): PartDescription[] {
  const parts = new Map<PartDescription['name'], WeightEntry[]>();
  for (const [name, entry] of weights) {
    const part = partOf(name);
    parts.set(part, [...(parts.get(part) ?? []), entry]);
  }
  return Array.from(parts, ([name, entries]) => ({
    name,
    parameters: entries.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    bytes: entries.reduce((sum, entry) => sum + storedBytes(entry), 0),
    dtypes: [...new Set(entries.map(entry => entry.dtype))],
  }));
}

function partOf(name: string): PartDescription['name'] {
  if (name.startsWith('vision_tower.')) return 'vision tower';
  return /^(multi_modal_projector\.|image_newline$)/.test(name) ? 'projector' : 'language model';
}

/** Eight tensors as wide as the model and three as wide as its MLP, for one chunk of a prompt; and the logits. */
function decoderBuffers({ hiddenSize, intermediateSize, vocabSize, contextLength }: LlamaConfig): number {
  const positions = Math.min(PREFILL_CHUNK, contextLength);
  return 4 * (positions * (8 * hiddenSize + 3 * intermediateSize) + vocabSize);
}

/** The same for the tiles of one run, and two matrices of attention scores. */
function visionBuffers({ vision, anyres }: LlavaConfig): number {
  const tokens = patchesPerSide(vision) ** 2 + 1;
  const scores = 2 * vision.numAttentionHeads * tokens ** 2;
  const perTile = 4 * (tokens * (8 * vision.hiddenSize + 2 * vision.intermediateSize) + scores);
  return (anyres ? TILES_PER_RUN : 1) * perTile;
}
