/** @file A layer's weights as its calibration would have them, in the form they are stored in. */

import { f32Tensor, type HostTensor, toFloat32 } from '../../core/index.ts';
import type { WeightFormat } from '../../models/index.ts';
import { readTensor } from '../../weights/index.ts';
import type { ModelFolder } from '../model-folder.ts';
import type { Calibration } from './calibrate.ts';
import { Compensation } from './compensate.ts';
import { type Encoded, encode } from './encode.ts';
import type { LinearLayer } from './layers.ts';
import type { RootFile } from './root-file.ts';

/** Encodes the layers of a model. Dispose it when done. */
export class LayerEncoder implements Disposable {
  readonly #folder: ModelFolder;
  readonly #formats: ReadonlyMap<string, WeightFormat>;
  readonly #calibration: Calibration | undefined;
  readonly #roots: RootFile;
  readonly #compensation: Compensation;
  /** The parts of a layer's weight are written one after another. */
  #last: { readonly layer: LinearLayer; readonly encoded: Promise<Encoded> } | undefined;

  private constructor(
    folder: ModelFolder,
    formats: ReadonlyMap<string, WeightFormat>,
    calibration: Calibration | undefined,
    [roots, compensation]: readonly [RootFile, Compensation],
  ) {
    this.#folder = folder;
    this.#formats = formats;
    this.#calibration = calibration;
    this.#roots = roots;
    this.#compensation = compensation;
  }

  static async create(
    folder: ModelFolder,
    formats: ReadonlyMap<string, WeightFormat>,
    calibration: Calibration | undefined,
    roots: RootFile,
  ): Promise<LayerEncoder> {
    return new LayerEncoder(folder, formats, calibration, [roots, await Compensation.create()]);
  }

  /** The parts of a layer's weight. The last layer's are kept. */
  encode(layer: LinearLayer): Promise<Encoded> {
    if (this.#last?.layer !== layer) this.#last = { layer, encoded: this.#encode(layer) };
    return this.#last.encoded;
  }

  async #encode(layer: LinearLayer): Promise<Encoded> {
    const { path, weight } = layer;
    const matrix = changed(readTensor(this.#folder.weights.get(weight)!), layer, this.#calibration);
    const format = this.#formats.get(path)!;
    const root = await this.#roots.of(path);
    return root
      ? await this.#compensation.encode(matrix, format, root)
      : encode(matrix, format, this.#calibration?.importance.get(path));
  }

  [Symbol.dispose](): void {
    this.#compensation.dispose();
  }
}

/** The weight with the factors of its inputs, and without those of its outputs. */
function changed(
  matrix: HostTensor,
  { path, inputs, outputs }: LinearLayer,
  calibration: Calibration | undefined,
): HostTensor {
  const factors = calibration?.factors.get(path);
  const divisors = calibration?.divisors.get(`${path}.weight`);
  if (!factors && !divisors) return matrix;
  const data = Float32Array.from(toFloat32(matrix));
  for (let row = 0; row < outputs; row++) {
    const divisor = divisors?.[row] ?? 1;
    for (let k = 0; k < inputs; k++) data[row * inputs + k]! *= (factors?.[k] ?? 1) / divisor;
  }
  return f32Tensor(matrix.shape, data);
}
