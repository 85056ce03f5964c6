/**
 * @file Chooses how a model is rounded by what its layers read: the scale of inputs that vary much from channel to channel is
 * moved into what makes them (see models/scale-migration.ts), as far as it makes the products of the layers that read them
 * more exact; errors of weights count as much as their inputs are large; and the weights of one input make up for the errors of
 * those before it (compensate.ts). Shapes: R rows, K inputs, N outputs.
 */

import { f32Tensor, type HostTensor, toFloat32 } from '../../core/index.ts';
import { BLOCK_SIZE, isFloatFormat, type ScaleSource, scaleSource, type WeightFormat } from '../../models/index.ts';
import { readTensor } from '../../weights/index.ts';
import type { ModelFolder } from '../model-folder.ts';
import { COMPENSATED_FORMATS, Compensation } from './compensate.ts';
import { decode, type Encoded, encode } from './encode.ts';
import { InputRoots, type RootSpan } from './input-root.ts';
import { type CalibrationSample, type LayerInput, type LayerInputOptions, layerInputs } from './layer-inputs.ts';
import { type LinearLayer, linearLayers } from './layers.ts';
import { ProductError } from './product-error.ts';
import type { RootFile } from './root-file.ts';

/** What a calibration has found. */
export interface Calibration {
  /** By path of a layer: factors of its inputs, [K]. */
  readonly factors: ReadonlyMap<string, Float32Array>;
  /** By name of a weight: divisors of its elements or rows, which undo the factors. */
  readonly divisors: ReadonlyMap<string, Float32Array>;
  /** By path of a layer: mean square of its inputs, the factors undone, [K]. */
  readonly importance: ReadonlyMap<string, Float32Array>;
  /** By path of a layer: relative error of its outputs over the samples. */
  readonly errors: ReadonlyMap<string, number>;
}

/** Forms that gain by even inputs. */
export const MIGRATED_FORMATS: ReadonlySet<WeightFormat> = new Set(['w8a8', 'int4']);
/** How far the scale is moved: 0 not at all, 1 until all inputs are equally large. */
const STRENGTHS = [0.3, 0.5, 0.7, 0.9];
/** Outputs of a layer that are tried. */
const TRIED_OUTPUTS = 768;

/** What is rounded, by what it reads while `samples` are read. */
export interface CalibrationTask {
  readonly folder: ModelFolder;
  readonly formats: ReadonlyMap<string, WeightFormat>;
  readonly samples: readonly CalibrationSample[];
  /** Takes the triangles of the inputs of those layers whose rounding gains by them. */
  readonly roots: RootFile;
}

/** Reads the samples and decides for every layer that they reach. */
export async function calibrate(task: CalibrationTask, options: LayerInputOptions = {}): Promise<Calibration> {
  const { folder, samples } = task;
  using products = await ProductError.create();
  using inputRoots = await InputRoots.create();
  using compensation = await Compensation.create();
  const work = new Work(task, { products, inputRoots, compensation });
  for await (const input of layerInputs(folder, samples, options)) await work.decide(input);
  return work;
}

/** Of a layer's inputs, [K]; undefined for 1. */
type Factors = Float32Array | undefined;

/** A layer that reads the inputs at hand, some of its outputs only. */
interface Reader {
  readonly path: string;
  readonly format: WeightFormat;
  readonly matrix: HostTensor;
}

/** What computes. */
interface Tools {
  readonly products: ProductError;
  readonly inputRoots: InputRoots;
  readonly compensation: Compensation;
}

class Work implements Calibration {
  readonly factors = new Map<string, Float32Array>();
  readonly divisors = new Map<string, Float32Array>();
  readonly importance = new Map<string, Float32Array>();
  readonly errors = new Map<string, number>();
  readonly #folder: ModelFolder;
  readonly #formats: ReadonlyMap<string, WeightFormat>;
  readonly #roots: RootFile;
  readonly #tools: Tools;
  readonly #layers: ReadonlyMap<string, LinearLayer>;

  constructor({ folder, formats, roots }: CalibrationTask, tools: Tools) {
    this.#folder = folder;
    this.#formats = formats;
    this.#roots = roots;
    this.#tools = tools;
    this.#layers = new Map(linearLayers(folder).map(layer => [layer.path, layer]));
  }

  async decide(input: LayerInput): Promise<void> {
    const readers = input.paths.map(path => this.#reader(path)).filter(({ format }) => !isFloatFormat(format));
    if (readers.length === 0) return;
    const source = this.#source(input.paths);
    let chosen: Float32Array | undefined;
    let errors = await this.#errors(input, readers, undefined);
    for (const factors of source ? candidates(input, readers, source) : []) {
      const tried = await this.#errors(input, readers, factors);
      if (total(tried) < total(errors)) [errors, chosen] = [tried, factors];
    }
    errors = await this.#compensate(input, readers, chosen, errors);
    for (const [i, { path }] of readers.entries()) {
      this.errors.set(path, errors[i]!);
      this.importance.set(path, chosen ? input.power.map((power, k) => power / chosen[k]! ** 2) : input.power);
      if (chosen) this.factors.set(path, chosen);
    }
    if (chosen) this.#divide(source!, chosen);
  }

  #reader(path: string): Reader {
    const tensor = readTensor(this.#folder.weights.get(this.#layers.get(path)!.weight)!);
    const [outputs, inputs] = tensor.shape as [number, number];
    const count = Math.min(outputs, TRIED_OUTPUTS);
    const data = toFloat32(tensor);
    const matrix = new Float32Array(count * inputs);
    for (let i = 0; i < count; i++) {
      const row = Math.floor((i * outputs) / count);
      matrix.set(data.subarray(row * inputs, (row + 1) * inputs), i * inputs);
    }
    return { path, format: this.#formats.get(path)!, matrix: f32Tensor([count, inputs], matrix) };
  }

  /** What makes the inputs, where it can take their scale and one of the readers gains by it: all of them must be rounded. */
  #source(paths: readonly string[]): ScaleSource | undefined {
    const formats = paths.map(path => this.#formats.get(path)!);
    if (formats.some(isFloatFormat) || !formats.some(format => MIGRATED_FORMATS.has(format))) return undefined;
    const [source, ...others] = paths.map(path => scaleSource(this.#folder.config, path));
    if (!source || others.some(other => other?.path !== source.path)) return undefined;
    return source.kind === 'layer' && isFloatFormat(this.#formats.get(source.path)!) ? undefined : source;
  }

  #errors(input: LayerInput, readers: readonly Reader[], factors: Factors): Promise<number[]> {
    const importance = factors ? input.power.map((power, k) => power / factors[k]! ** 2) : input.power;
    return Promise.all(
      readers.map(reader =>
        this.#error(input, reader, factors, encode(scaledBy(factors, reader.matrix), reader.format, importance)),
      ),
    );
  }

  #error(input: LayerInput, { matrix, format }: Reader, factors: Factors, encoded: Encoded): Promise<number> {
    const rows = scaledBy(
      factors?.map(factor => 1 / factor),
      input.rows,
    );
    return this.#tools.products.relative(
      { rows: input.rows, matrix },
      { rows: roundedRows(rows, format), matrix: f32Tensor(matrix.shape, decode(encoded, format)) },
    );
  }

  /** Keeps the triangle of the inputs for those readers that lose less by it; returns the errors that are left. */
  async #compensate(
    input: LayerInput,
    readers: readonly Reader[],
    factors: Factors,
    errors: readonly number[],
  ): Promise<number[]> {
    if (!readers.some(({ format }) => COMPENSATED_FORMATS.has(format))) return [...errors];
    const root = await this.#tools.inputRoots.of(input.tensors, factors);
    const tried = await Promise.all(readers.map(reader => this.#compensatedError(input, reader, factors, root)));
    const gaining = readers.filter((_, i) => tried[i]! < errors[i]!).map(({ path }) => path);
    if (gaining.length > 0) await this.#roots.add(gaining, root);
    return errors.map((error, i) => Math.min(error, tried[i]!));
  }

  async #compensatedError(
    input: LayerInput,
    reader: Reader,
    factors: Factors,
    root: readonly RootSpan[],
  ): Promise<number> {
    const { matrix, format } = reader;
    if (!COMPENSATED_FORMATS.has(format)) return Number.POSITIVE_INFINITY;
    const encoded = await this.#tools.compensation.encode(scaledBy(factors, matrix), format, root);
    return await this.#error(input, reader, factors, encoded);
  }

  #divide(source: ScaleSource, factors: Float32Array): void {
    const weight = this.#folder.weights.get(`${source.path}.weight`)!;
    const divisors = new Float32Array(weight.shape[0]!);
    for (const [k, factor] of factors.entries()) divisors[source.index(k)] = factor;
    for (const part of ['weight', 'bias']) this.divisors.set(`${source.path}.${part}`, divisors);
  }
}

const total = (errors: readonly number[]): number => errors.reduce((sum, error) => sum + error * error, 0);

/**
 * Factors that are worth a try. Where inputs are rounded too, size^strength / (largest weight)^(1 − strength), the size of an input
 * being its peak or its root mean square; else root mean square to the power of half the strength.
 */
function candidates(
  { peak, power }: LayerInput,
  readers: readonly Reader[],
  source: ScaleSource,
): Iterable<Float32Array> {
  const rms = power.map(Math.sqrt);
  if (!readers.some(({ format }) => format === 'w8a8')) {
    return STRENGTHS.map(strength => shared(rms, source, size => size ** (strength / 2)));
  }
  const weights = largestWeights(readers, peak.length);
  return [peak, rms].flatMap(sizes =>
    STRENGTHS.map(strength => shared(sizes, source, (size, k) => size ** strength / weights[k]! ** (1 - strength))),
  );
}

/** `rule` of each input's size, at most 1; inputs that share an entry of the source have the largest of theirs. */
function shared(sizes: Float32Array, { index }: ScaleSource, rule: (size: number, k: number) => number): Float32Array {
  const largest = new Map<number, number>();
  for (const [k, size] of sizes.entries()) {
    largest.set(index(k), Math.max(largest.get(index(k)) ?? 0, rule(size, k)));
  }
  const most = Math.max(...largest.values());
  return sizes.map((_, k) => (most > 0 ? Math.max(largest.get(index(k))! / most, 1e-4) : 1));
}

/** Largest magnitude among the weights of each input, over all readers; at least a millionth of the largest of all. */
function largestWeights(readers: readonly Reader[], inputs: number): Float32Array {
  const largest = new Float32Array(inputs);
  for (const { matrix } of readers) {
    const data = matrix.data as Float32Array;
    for (let start = 0; start < data.length; start += inputs) {
      for (let k = 0; k < inputs; k++) largest[k] = Math.max(largest[k]!, Math.abs(data[start + k]!));
    }
  }
  const least = largest.reduce((most, value) => Math.max(most, value), 0) * 1e-6 || 1;
  return largest.map(value => Math.max(value, least));
}

/** A matrix with each column times its factor, if there are factors. */
function scaledBy(factors: Factors, matrix: HostTensor): HostTensor {
  if (!factors) return matrix;
  const { shape, data } = matrix;
  const out = new Float32Array(data.length);
  for (let start = 0; start < out.length; start += factors.length) {
    for (let k = 0; k < factors.length; k++) out[start + k] = (data[start + k] as number) * factors[k]!;
  }
  return f32Tensor(shape, out);
}

/** Activations as the kernels round them: to 8 bits by row, or by block of a row; two bytes lose nothing to speak of. */
function roundedRows(rows: HostTensor, format: WeightFormat): HostTensor {
  if (format === 'w8a16' || format === 'w16a16') return rows;
  const data = rows.data as Float32Array;
  const size = format === 'w8a8' ? rows.shape[1]! : BLOCK_SIZE;
  const out = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += size) {
    let most = 0;
    for (let i = start; i < start + size; i++) most = Math.max(most, Math.abs(data[i]!));
    const step = most / 127 || 1;
    for (let i = start; i < start + size; i++) out[i] = Math.round(data[i]! / step) * step;
  }
  return f32Tensor(rows.shape, out);
}
