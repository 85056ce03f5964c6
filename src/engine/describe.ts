/** @file What a model is and what it will need, from its configuration and the headers of its weights alone. */

import { LlavaError } from '../core/index.ts';
import { type CacheType, type LlamaConfig, type LlavaConfig, maxImageTokens } from '../models/index.ts';
import { chooseTemplate } from './choose-template.ts';
import { type MemoryNeed, memoryNeed } from './memory.ts';
import {
  type FolderOptions,
  type ModelFiles,
  type ModelFolder,
  modelGraphs,
  openModelFolder,
  paramSources,
  readModelFiles,
} from './model-folder.ts';
import { checkTokenizerSize } from './open-processor.ts';
import { type PartDescription, partsOfWeights, readIndexOutline } from './outline.ts';

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

/** How a model is read, and how it would be loaded. */
export interface DescribeOptions extends FolderOptions {
  /** Type that keys and values would be kept in. Default f32. */
  readonly kvCache?: CacheType;
}

/**
 * Describes the model in a folder, also one whose weights are broken or not there yet.
 * @throws LlavaError when its configuration cannot be read
 */
export function describeModel(path: string, options: DescribeOptions = {}): ModelDescription {
  const problems: string[] = [];
  const folder = attempt(problems, () => openModelFolder(path, options));
  const files = folder ?? readModelFiles(path, options);
  const index = folder ? undefined : attempt(problems, () => readIndexOutline(files));
  const tokenizer = attempt(problems, () => files.tokenizer());
  if (folder) attempt(problems, () => checkWeights(folder));
  else if (index) problems.push(...indexProblems(files, index.names));
  const { config, language } = files;
  if (tokenizer) attempt(problems, () => checkTokenizerSize(files.folder, tokenizer, language.vocabSize));
  return {
    name: files.name,
    folder: files.folder,
    config,
    parts: folder ? partsOfWeights(folder.weights) : (index?.parts ?? []),
    contextLength: language.contextLength,
    tokensPerImage: config.modelType === 'llava' ? maxImageTokens(config) : 0,
    template: tokenizer && chooseTemplate(files, tokenizer).name,
    tokenizerSize: tokenizer?.vocabSize,
    memory: memoryNeed(files, folder?.weights, options.kvCache),
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

/** Throws {@link LlavaError} when the weights are not those of the configuration. */
function checkWeights(folder: ModelFolder): void {
  const { decoder, vision } = modelGraphs(folder);
  paramSources(folder, vision ? [decoder, vision] : [decoder]);
}

/** Weights that answering needs and an index does not name. */
function indexProblems(files: ModelFiles, names: ReadonlySet<string>): string[] {
  const { decoder, vision } = modelGraphs(files);
  const needed = [...decoder.params, ...(vision?.params ?? [])].map(({ name }) => name);
  const missing = needed.filter(name => !names.has(name));
  if (missing.length === 0) return [];
  return [`index of ${files.folder}: expected the ${needed.length} tensors of the model, got no ${missing.join(', ')}`];
}
