/**
 * @file Writes a model with its linear layers quantised, tensor by tensor: in memory are one layer's weights at a time. Also
 * keeps such copies in the cache, for models that are asked for in a form they are not stored in.
 */

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cacheFolder, type HostTensor, LlavaError, nearestName, sizeOf, throwIfAborted } from '../core/index.ts';
import type { Graph } from '../graph/index.ts';
import {
  BLOCK_SIZE,
  type FormatPlan,
  fitsFormat,
  formatPlan,
  formatQuantization,
  type Quantization,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../models/index.ts';
import {
  blockScale,
  entrySource,
  findFile,
  quantizeBlocksOf,
  quantizeRowsOf,
  readTensor,
  rowScale,
  saveFolderAtomic,
  saveWeights,
  type TensorSource,
} from '../weights/index.ts';
import { suitableFormat } from './cpu-features.ts';
import {
  type FolderOptions,
  type ModelFiles,
  type ModelFolder,
  modelGraphs,
  openModelFolder,
  paramSources,
  QUANTIZATION_KEY,
  readModelFiles,
} from './model-folder.ts';

/** What {@link quantizeModel} is told. */
export interface QuantizeOptions {
  readonly quantization: Quantization;
  /** How the source is read. */
  readonly files?: FolderOptions;
  /** Parameters written so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** A linear layer of a model. */
export interface LinearLayer {
  /** Its path in our names, e.g. `language_model.model.layers.0.mlp.up_proj`. */
  readonly path: string;
  /** The weight [outputs, inputs]; a tied head's is the embedding. */
  readonly weight: string;
  readonly outputs: number;
  readonly inputs: number;
}

/** The linear layers of a model, in the order of the graphs. */
export function linearLayers(folder: ModelFolder): LinearLayer[] {
  const paths = new Set<string>();
  const graphs = graphsOf(folder, path => {
    paths.add(path);
    return 'float';
  });
  const shapes = new Map(graphs.flatMap(graph => graph.params).map(({ name, shape }) => [name, shape]));
  return Array.from(paths, path => {
    const own = `${path}.weight`;
    const weight = shapes.has(own) ? own : path.replace(/lm_head$/, 'model.embed_tokens.weight');
    const [outputs, inputs] = shapes.get(weight) as [number, number];
    return { path, weight, outputs, inputs };
  });
}

/** Form of each layer: that of the plan where the layer's size allows it, else float. */
function resolveFormats(layers: readonly LinearLayer[], quantization: Quantization): Map<string, WeightFormat> {
  const plan = formatPlan(quantization);
  for (const [pattern] of quantization.exceptions) {
    const alone = formatPlan({ format: 'float', exceptions: [[pattern, 'w8a8']] });
    if (layers.some(({ path }) => alone(path) !== 'float')) continue;
    const nearest = nearestName(
      pattern,
      layers.map(layer => layer.path),
    );
    throw new LlavaError(`quantization: expected a layer of the model, got ${pattern} (nearest: ${nearest ?? 'none'})`);
  }
  return new Map(
    layers.map(({ path, inputs }) => [path, fitsFormat(plan(path), inputs) ? plan(path) : 'float'] as const),
  );
}

/**
 * Writes the model in `source` to `target` in the wanted form; everything but the linear layers stays as it is stored.
 * @throws LlavaError when the source is quantised already, or `target` exists
 */
export async function quantizeModel(source: string, target: string, options: QuantizeOptions): Promise<void> {
  const folder = openModelFolder(source, options.files);
  checkLayout(folder);
  if (folder.quantization) {
    throw new LlavaError(`${source}: expected float weights, got ${folder.quantization.format} already`);
  }
  if (existsSync(target)) throw new LlavaError(`${target}: expected a new folder, got one that exists`);
  const layers = linearLayers(folder);
  const formats = resolveFormats(layers, options.quantization);
  const sources = watched(tensorSources(folder, layers, formats), options);
  await saveFolderAtomic(target, async temporary => {
    for (const from of folder.folders.toReversed()) await copyOtherFiles(from, temporary);
    await saveWeights(temporary, sources);
    await writeConfig(folder, temporary, options.quantization, formats);
  });
}

/** The copy takes over the other files of a folder, so there must be one. */
function checkLayout({ folder, folders }: ModelFiles): void {
  if (findFile('config.json', folders)) return;
  throw new LlavaError(`${folder}: expected a folder with config.json to quantise, got a model in GGUF form`);
}

/** The weights that the quantised graphs ask for, each as it is stored or computed when its turn to be written comes. */
function tensorSources(
  folder: ModelFolder,
  layers: readonly LinearLayer[],
  formats: ReadonlyMap<string, WeightFormat>,
): TensorSource[] {
  paramSources(folder, graphsOf(folder)); // throws where weights are missing or misshapen
  const byPath = new Map(layers.map(layer => [layer.path, layer]));
  const params = graphsOf(folder, path => formats.get(path)!).flatMap(graph => graph.params);
  return params.map(({ name, dtype, shape }) => {
    const [, path = '', part] = /^(.+)\.weight\.(int8|int4|scale)$/.exec(name) ?? [];
    const layer = byPath.get(path);
    if (!layer) return entrySource(folder.weights.get(name)!, name);
    const entry = folder.weights.get(layer.weight)!;
    const make = part === 'scale' ? scaleOf : codesOf;
    const read = (): HostTensor => make(readTensor(entry), formats.get(path)!);
    return { name, dtype, shape: shape as readonly number[], read };
  });
}

function graphsOf(folder: ModelFolder, plan?: FormatPlan): Graph[] {
  const { decoder, vision } = modelGraphs(folder, plan);
  return vision ? [decoder, vision] : [decoder];
}

/** Bits of a form that has scales for blocks; undefined for one that has them for rows. */
function blockBits(format: WeightFormat): 4 | 8 | undefined {
  if (format === 'int4') return 4;
  return format === 'int8' ? 8 : undefined;
}

function codesOf(matrix: HostTensor, format: WeightFormat): HostTensor {
  const bits = blockBits(format);
  return (bits ? quantizeBlocksOf(matrix, bits, BLOCK_SIZE) : quantizeRowsOf(matrix)).codes;
}

function scaleOf(matrix: HostTensor, format: WeightFormat): HostTensor {
  const bits = blockBits(format);
  return bits ? blockScale(matrix, bits, BLOCK_SIZE) : rowScale(matrix);
}

/** The same sources, each telling its progress and giving up on a signal. */
function watched(sources: readonly TensorSource[], { onProgress, signal }: QuantizeOptions): TensorSource[] {
  const total = sources.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let done = 0;
  return sources.map(source => ({
    ...source,
    read: async () => {
      throwIfAborted(signal, 'quantize');
      const tensor = await source.read();
      done += sizeOf(source.shape);
      onProgress?.(done, total);
      return tensor;
    },
  }));
}

const WEIGHT_FILES = /\.(safetensors|bin|gguf|pt|pth|msgpack|h5|onnx)$|\.index\.json$/;

/** Tokenizer, processor and generation settings. */
async function copyOtherFiles(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isDirectory() || WEIGHT_FILES.test(entry.name)) continue;
    await copyFile(join(from, entry.name), join(to, entry.name));
  }
}

/** Exceptions of the plan that layers' sizes made are written out. */
async function writeConfig(
  { folders, name }: ModelFolder,
  to: string,
  { format, exceptions }: Quantization,
  formats: ReadonlyMap<string, WeightFormat>,
): Promise<void> {
  const planned = formatPlan({ format, exceptions });
  const unfit = Array.from(formats).filter(([path, own]) => planned(path) !== own);
  const section = formatQuantization({ format, exceptions: [...exceptions, ...unfit] });
  const json = JSON.parse(await readFile(findFile('config.json', folders)!, 'utf8'));
  const config = { _name_or_path: name, ...json, [QUANTIZATION_KEY]: section };
  await writeFile(join(to, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
}

/** A form of the weights, or `auto`: as they are stored if that is no float form, else what suits the processor. */
export type QuantChoice = WeightFormat | 'auto';

/** All choices. */
export const QUANT_CHOICES: readonly QuantChoice[] = ['auto', ...WEIGHT_FORMATS];

/**
 * A folder with the model in `source` in the wanted form: the folder itself where it is stored so, else a copy in the cache,
 * made the first time. Tied to the source's files by their names, sizes and times of change.
 */
export async function quantizedFolder(
  source: string,
  choice: QuantChoice,
  options: Omit<QuantizeOptions, 'quantization'> = {},
): Promise<string> {
  const files = readModelFiles(source, options.files);
  checkLayout(files);
  const { folder, folders, quantization } = files;
  const format = choice === 'auto' ? (quantization?.format ?? suitableFormat()) : choice;
  if ((quantization?.format ?? 'float') === format) return source;
  if (quantization) throw new LlavaError(`${source}: expected float weights for ${format}, got ${quantization.format}`);
  const listings = await Promise.all(folders.map(listFiles));
  const key = createHash('sha256')
    .update(JSON.stringify([folders, listings, format, options.files?.visionTower]))
    .digest('hex')
    .slice(0, 16);
  const parent = join(cacheFolder(), 'quantized');
  const copy = join(parent, `${basename(folder)}-${format}-${key}`);
  if (existsSync(join(copy, 'config.json'))) return copy;
  await mkdir(parent, { recursive: true });
  await quantizeModel(source, copy, { ...options, quantization: { format, exceptions: [] } });
  return copy;
}

async function listFiles(folder: string): Promise<unknown[]> {
  const names = await readdir(folder);
  return names.sort().map(name => {
    const { size, mtimeMs } = statSync(join(folder, name));
    return [name, size, mtimeMs];
  });
}
