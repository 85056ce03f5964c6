/**
 * @file From a checkpoint in one layout to one in another: weights stream tensor by tensor and shard by shard, everything
 * else is written after them. Memory is that of the largest tensor, as read and as changed. A conversion that was killed
 * goes on with the first shard that is not whole.
 */

import { resolve } from 'node:path';
import {
  castFloat,
  type HostTensor,
  isFloat,
  LlavaError,
  nearestName,
  rejectUnknownKeys,
  throwIfAborted,
} from '../../core/index.ts';
import { LAYOUTS, type Layout, planName, projectorDepth, storedName } from '../../models/index.ts';
import { byteLengthOf, readTensor, saveWeights, type TensorSource, type WeightEntry } from '../../weights/index.ts';
import { exportOnnx } from '../export-onnx.ts';
import { type FolderOptions, type ModelFolder, modelGraphs, openModelFolder, paramSources } from '../model-folder.ts';
import { planCompanions, writeCompanions } from './companions.ts';
import { beginJob, checkRoom, endJob, fingerprint, refuseInside } from './destination.ts';
import { writeGgufFolder } from './to-gguf.ts';
import { resizeRows } from './vocabulary.ts';

/** What a model can be converted to: a layout of checkpoints, or files for other runtimes. */
export const CONVERT_TARGETS = [...LAYOUTS, 'onnx', 'gguf'] as const;

/** What a model is converted to. */
export type ConvertTarget = (typeof CONVERT_TARGETS)[number];

/** Element types of weights that are written; the last two are those of GGUF. */
export const CONVERT_DTYPES = ['keep', 'f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const;

/** How {@link convertModel} works. */
export interface ConvertOptions extends Pick<FolderOptions, 'visionTower' | 'modelBase' | 'mmproj'> {
  readonly to: ConvertTarget;
  /** Element type of float weights: rounded to nearest even, or kept as they are (default). */
  readonly dtype?: (typeof CONVERT_DTYPES)[number];
  /** Most bytes of a file of weights; a larger tensor gets one of its own. Default 5e9. */
  readonly maxShardBytes?: number;
  /** Called after each tensor, and for those that an interrupted conversion has left. */
  readonly onProgress?: (progress: ConvertProgress) => void;
  /** Stops after the tensor under way; the same call goes on from there. */
  readonly signal?: AbortSignal;
}

/** How far a conversion is. */
export interface ConvertProgress {
  readonly bytes: number;
  readonly totalBytes: number;
  /** How many of the bytes an interrupted conversion has left. */
  readonly keptBytes: number;
}

type FloatType = 'f32' | 'f16' | 'bf16';

const SOURCE_OPTIONS = ['visionTower', 'modelBase', 'mmproj'] as const;
const OPTIONS = ['to', 'dtype', 'maxShardBytes', 'onProgress', 'signal', ...SOURCE_OPTIONS];
const EMBEDDINGS = /(^|\.)(embed_tokens|lm_head)\.weight$/;

/**
 * Converts the model in folder `source` into the new folder `destination`.
 * @throws LlavaError that names the file at fault; nothing of the source is ever changed
 */
export async function convertModel(source: string, destination: string, options: ConvertOptions): Promise<void> {
  checkOptions(options);
  const { visionTower, modelBase, mmproj } = options;
  const folder = openModelFolder(source, { visionTower, modelBase, mmproj });
  checkWeights(folder);
  const target = resolve(destination);
  refuseInside(folder.folder, target);
  if (options.to === 'onnx') await writeOnnx(folder, target, options);
  else if (options.to === 'gguf') await writeGguf(folder, target, options);
  else await writeLayout(folder, target, options.to, options);
}

async function writeLayout(
  folder: ModelFolder,
  target: string,
  layout: Layout,
  options: ConvertOptions,
): Promise<void> {
  const { dtype = 'keep', maxShardBytes = 5e9 } = options;
  if (dtype === 'q8_0' || dtype === 'q4_0') throw wrongType(layout, ['keep', 'f32', 'f16', 'bf16'], dtype);
  const companions = planCompanions(folder, layout, dtype === 'keep' ? storedType(folder) : dtype);
  const tensors = planTensors(folder, layout, dtype, companions.rows);
  const sources = [...folder.folders, ...(folder.tower ? [folder.tower.folder] : [])];
  const job = { to: layout, options: { dtype, maxShardBytes }, files: sources.flatMap(fingerprint) };
  const resume = await beginJob(target, job);
  const progress = new Progress(tensors, options);
  if (!resume) checkRoom(target, progress.totalBytes);
  await saveWeights(target, tensors.map(progress.watch), { maxShardBytes, resume, onKept: progress.keep });
  await writeCompanions(target, companions);
  await endJob(target);
}

/** All or nothing: it cannot be resumed. */
async function writeOnnx(folder: ModelFolder, target: string, options: ConvertOptions): Promise<void> {
  const { dtype = 'keep', onProgress, signal } = options;
  if (dtype !== 'keep' && dtype !== 'f32' && dtype !== 'f16') throw wrongType('onnx', ['keep', 'f32', 'f16'], dtype);
  await exportOnnx(folder, target, {
    storage: dtype === 'keep' ? 'stored' : dtype,
    onProgress: (bytes, totalBytes) => onProgress?.({ bytes, totalBytes, keptBytes: 0 }),
    ...(signal && { signal }),
  });
}

/** All or nothing as well. Sixteen bits are f16 there. */
async function writeGguf(folder: ModelFolder, target: string, options: ConvertOptions): Promise<void> {
  const { dtype = 'keep', onProgress, signal } = options;
  if (dtype === 'bf16') throw wrongType('gguf', ['keep', 'f32', 'f16', 'q8_0', 'q4_0'], dtype);
  await writeGgufFolder(folder, target, {
    dtype: dtype !== 'keep' ? dtype : storedType(folder) === 'f32' ? 'f32' : 'f16',
    onProgress: (bytes, totalBytes) => onProgress?.({ bytes, totalBytes, keptBytes: 0 }),
    ...(signal && { signal }),
  });
}

function wrongType(target: string, choices: readonly string[], got: string): LlavaError {
  return new LlavaError(`option dtype: expected ${choices.join(', ')} for ${target}, got ${got}`);
}

function checkOptions(options: ConvertOptions): void {
  rejectUnknownKeys('options', options, OPTIONS);
  checkChoice('to', options.to, CONVERT_TARGETS);
  checkChoice('dtype', options.dtype ?? 'keep', CONVERT_DTYPES);
  const size = options.maxShardBytes ?? 1;
  if (!(size >= 1)) throw new LlavaError(`option maxShardBytes: expected at least 1, got ${size}`);
}

function checkChoice(option: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  const hint = nearestName(String(value), choices);
  throw new LlavaError(`option ${option}: expected ${choices.join(', ')}, got ${value} (did you mean ${hint}?)`);
}

/** Throws where weights and configuration disagree, and for quantised weights. */
function checkWeights(folder: ModelFolder): void {
  if (folder.quantization) {
    throw new LlavaError(`${folder.folder}: expected float weights to convert, got ${planName(folder.quantization)}`);
  }
  const { decoder, vision } = modelGraphs(folder);
  paramSources(folder, vision ? [decoder, vision] : [decoder]);
}

/** Element type of most of the weights, as the configuration is to state it. */
function storedType({ folder, weights }: ModelFolder): FloatType {
  const bytes = new Map<string, number>();
  for (const entry of weights.values()) bytes.set(entry.dtype, (bytes.get(entry.dtype) ?? 0) + byteLengthOf(entry));
  const [[type] = ['none']] = [...bytes].sort((a, b) => b[1] - a[1]);
  if (type === 'f32' || type === 'f16' || type === 'bf16') return type;
  throw new LlavaError(`${folder}: expected weights of f32, f16 or bf16, got ${type}: choose one by option dtype`);
}

/** The tensors to write, in the order of the source. */
function planTensors(
  { config, weights }: ModelFolder,
  layout: Layout,
  dtype: FloatType | 'keep',
  rows: number | undefined,
): TensorSource[] {
  const nameOf = (name: string): string =>
    config.modelType === 'llava' ? storedName(layout, name, projectorDepth(config.projectorType)) : name;
  return Array.from(weights, ([name, entry]) => {
    const target = dtype === 'keep' || !isFloat(entry.dtype) ? undefined : dtype;
    return changedTensor(entry, nameOf(name), target, EMBEDDINGS.test(name) ? rows : undefined);
  });
}

/** A tensor that is read, resized and cast when its turn comes. */
function changedTensor(
  entry: WeightEntry,
  name: string,
  dtype: FloatType | undefined,
  rows: number | undefined,
): TensorSource {
  const [old, ...rest] = entry.shape;
  const isResized = rows !== undefined && rows !== old;
  const read = (): HostTensor => {
    const tensor = isResized ? resizeRows(readTensor(entry), rows) : readTensor(entry);
    return dtype === undefined ? tensor : castFloat(tensor, dtype);
  };
  return { name, dtype: dtype ?? entry.dtype, shape: isResized ? [rows, ...rest] : entry.shape, read };
}

/** Counts bytes, and stops when the caller wants it. */
class Progress {
  readonly totalBytes: number;
  readonly #options: ConvertOptions;
  #bytes = 0;
  #keptBytes = 0;

  constructor(tensors: readonly TensorSource[], options: ConvertOptions) {
    this.totalBytes = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
    this.#options = options;
  }

  /** The same tensor, counted when it is read. */
  readonly watch = (tensor: TensorSource): TensorSource => {
    const read = async (): Promise<HostTensor> => {
      throwIfAborted(this.#options.signal, 'convert');
      const value = await tensor.read();
      this.#bytes += byteLengthOf(tensor);
      this.#report();
      return value;
    };
    return { ...tensor, read };
  };

  /** Counts tensors that need no writing. */
  readonly keep = (tensors: readonly TensorSource[]): void => {
    const bytes = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
    this.#bytes += bytes;
    this.#keptBytes += bytes;
    this.#report();
  };

  #report(): void {
    this.#options.onProgress?.({ bytes: this.#bytes, totalBytes: this.totalBytes, keptBytes: this.#keptBytes });
  }
}
