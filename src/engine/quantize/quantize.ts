/** @file Writes a model with its linear layers quantised, tensor by tensor: in memory are one layer's weights at a time. */

import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  castFloat,
  f32Tensor,
  type HostTensor,
  LlavaError,
  sizeOf,
  throwIfAborted,
  toFloat32,
} from '../../core/index.ts';
import { formatPlan, formatQuantization, planName, type Quantization, type WeightFormat } from '../../models/index.ts';
import {
  entrySource,
  readTensor,
  saveFolderAtomic,
  saveWeights,
  type TensorSource,
  type WeightEntry,
} from '../../weights/index.ts';
import { writeGgufCompanions } from '../gguf/companions.ts';
import { findGgufPair } from '../gguf/open-pair.ts';
import {
  type FolderOptions,
  type ModelFolder,
  openModelFolder,
  paramSources,
  QUANTIZATION_KEY,
} from '../model-folder.ts';
import { copyOtherFiles } from '../other-files.ts';
import { type Calibration, type CalibrationTask, calibrate } from './calibrate.ts';
import { COMPENSATED_FORMATS } from './compensate.ts';
import { LayerEncoder } from './encode-layer.ts';
import { graphsOf, type LinearLayer, linearLayers, resolveFormats } from './layers.ts';
import { RootFile } from './root-file.ts';
import { calibrationSamples, type SampleOptions } from './samples.ts';

/** What {@link quantizeModel} is told. */
export interface QuantizeOptions {
  readonly quantization: Quantization;
  /**
   * What is read to choose the rounding of layers that gain by it, all forms of 8 and 4 bits; false: nothing, weights are rounded
   * by themselves. Default: pages of prose and drawn pictures.
   */
  readonly calibration?: SampleOptions | false;
  /**
   * Part of the weights that is kept in `w8a16`, from 0 to 1: those of the layers whose outputs lose most. Default 0.
   */
  readonly finer?: number;
  /** How the source is read. */
  readonly files?: FolderOptions;
  /** Sections of the model that calibration has read, and all of them. */
  readonly onCalibration?: (done: number, total: number) => void;
  /** Parameters written so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What has been written. */
export interface QuantizeResult {
  /** The plan, with the exceptions that were found. */
  readonly quantization: Quantization;
  /** Form of each linear layer, by path. */
  readonly formats: ReadonlyMap<string, WeightFormat>;
  /** Relative error of each layer's outputs while the calibration's samples are read; empty without calibration. */
  readonly errors: ReadonlyMap<string, number>;
}

/**
 * Writes the model in `source` to `target` in the wanted form; everything but the linear layers stays as it is stored.
 * @throws LlavaError when the source is quantised already, or `target` exists
 */
export async function quantizeModel(source: string, target: string, options: QuantizeOptions): Promise<QuantizeResult> {
  const folder = openModelFolder(source, options.files);
  if (folder.quantization) {
    throw new LlavaError(`${source}: expected float weights, got ${planName(folder.quantization)} already`);
  }
  if (existsSync(target)) throw new LlavaError(`${target}: expected a new folder, got one that exists`);
  let result: QuantizeResult | undefined;
  await saveFolderAtomic(target, async temporary => {
    const pair = findGgufPair(source, options.files?.mmproj);
    if (pair) await writeGgufCompanions(pair, temporary);
    else for (const from of folder.folders.toReversed()) await copyOtherFiles(from, temporary);
    result = await writeRounded(folder, temporary, options);
    await writeConfig(folder, temporary, result.quantization);
  });
  return result!;
}

/** Decides how the layers are rounded and writes all weights. */
async function writeRounded(folder: ModelFolder, to: string, options: QuantizeOptions): Promise<QuantizeResult> {
  const layers = linearLayers(folder);
  const planned = resolveFormats(layers, options.quantization);
  await using roots = await RootFile.create(to);
  const calibration = await calibrationOf({ folder, formats: planned, roots }, options);
  const formats = withFiner(layers, planned, calibration?.errors, options.finer ?? 0);
  using encoder = await LayerEncoder.create(folder, formats, calibration, roots);
  await saveWeights(to, watched(tensorSources(folder, { layers, formats, calibration, encoder }), options));
  return {
    quantization: withExceptions(options.quantization, formats),
    formats,
    errors: calibration?.errors ?? new Map(),
  };
}

/** Reads samples where the rounding gains by it, or the caller wants to know the errors. */
async function calibrationOf(
  task: Omit<CalibrationTask, 'samples'>,
  { calibration, finer = 0, onCalibration, signal }: QuantizeOptions,
): Promise<Calibration | undefined> {
  if (!(finer >= 0 && finer <= 1)) throw new LlavaError(`option finer: expected a part from 0 to 1, got ${finer}`);
  const gains = finer > 0 || Array.from(task.formats.values()).some(format => COMPENSATED_FORMATS.has(format));
  if (calibration === false && finer > 0) throw new LlavaError('option finer: expected a calibration, got none');
  if (calibration === false || !(gains || calibration)) return undefined;
  const samples = await calibrationSamples(task.folder, calibration);
  return await calibrate({ ...task, samples }, { signal, ...(onCalibration && { onProgress: onCalibration }) });
}

/** The formats, with those layers in `w8a16` that have the largest errors and together at most `part` of the weights. */
function withFiner(
  layers: readonly LinearLayer[],
  formats: ReadonlyMap<string, WeightFormat>,
  errors: ReadonlyMap<string, number> | undefined,
  part: number,
): Map<string, WeightFormat> {
  const finer = new Map(formats);
  const sizes = new Map(layers.map(({ path, outputs, inputs }) => [path, outputs * inputs]));
  let room = part * Array.from(errors?.keys() ?? []).reduce((sum, path) => sum + sizes.get(path)!, 0);
  for (const [path] of [...(errors ?? [])].sort((a, b) => b[1] - a[1])) {
    if (sizes.get(path)! > room) continue;
    room -= sizes.get(path)!;
    finer.set(path, 'w8a16');
  }
  return finer;
}

/** How the layers are rounded. */
interface Decisions {
  readonly layers: readonly LinearLayer[];
  readonly formats: ReadonlyMap<string, WeightFormat>;
  readonly calibration: Calibration | undefined;
  readonly encoder: LayerEncoder;
}

/** The weights that the quantised graphs ask for, each as it is stored or computed when its turn to be written comes. */
function tensorSources(folder: ModelFolder, { layers, formats, calibration, encoder }: Decisions): TensorSource[] {
  paramSources(folder, graphsOf(folder)); // throws where weights are missing or misshapen
  const byPath = new Map(layers.map(layer => [layer.path, layer]));
  const halves = new Set(layers.filter(({ path }) => formats.get(path) === 'f16').map(({ weight }) => weight));
  const params = graphsOf(folder, path => formats.get(path)!).flatMap(graph => graph.params);
  return params.map(({ name, dtype, shape }) => {
    const [, path = '', part] = /^(.+)\.weight\.(int8|int4|low|scale|zero)$/.exec(name) ?? [];
    const layer = byPath.get(path);
    if (halves.has(name)) return halfSource(folder.weights.get(name)!, name);
    if (!layer) return otherSource(folder.weights.get(name)!, name, calibration?.divisors.get(name));
    const key = part === 'scale' || part === 'zero' || part === 'low' ? part : 'codes';
    return { name, dtype, shape: shape as readonly number[], read: async () => (await encoder.encode(layer))[key]! };
  });
}

function halfSource(entry: WeightEntry, name: string): TensorSource {
  return { name, dtype: 'f16', shape: entry.shape, read: () => castFloat(readTensor(entry), 'f16') };
}

/** A weight as it is stored, or of a norm or a bias what is left when `divisors` are taken out. */
function otherSource(entry: WeightEntry, name: string, divisors: Float32Array | undefined): TensorSource {
  if (!divisors) return entrySource(entry, name);
  const read = (): HostTensor =>
    f32Tensor(
      entry.shape,
      toFloat32(readTensor(entry)).map((value, i) => value / divisors[i]!),
    );
  return { name, dtype: 'f32', shape: entry.shape, read };
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

/** The plan with an exception for each layer that has another form than it says. */
function withExceptions(quantization: Quantization, formats: ReadonlyMap<string, WeightFormat>): Quantization {
  const planned = formatPlan(quantization);
  const others = Array.from(formats).filter(([path, own]) => planned(path) !== own);
  return { ...quantization, exceptions: [...quantization.exceptions, ...others] };
}

/** Adds the plan to the copy's config.json. */
async function writeConfig({ name }: ModelFolder, to: string, quantization: Quantization): Promise<void> {
  const file = join(to, 'config.json');
  const json = JSON.parse(await readFile(file, 'utf8'));
  const isFloat = quantization.format === 'float' && quantization.exceptions.every(([, own]) => own === 'float');
  const section = { [QUANTIZATION_KEY]: formatQuantization(quantization) };
  const config = { _name_or_path: name, ...json, ...(!isFloat && section) };
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`);
}
