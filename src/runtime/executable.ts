/**
 * @file Models ready to run. `compile` hands an ONNX model to ONNX Runtime, which optimises and packs it; an
 * {@link Executable} runs it as often as wanted, also several times at once, on libuv's threads (4 by default, each run
 * occupies one), so the event loop stays free.
 *
 * Weights are external data: an initializer's `location` is the file's absolute path without its root ('/' or 'C:\'),
 * and ONNX Runtime maps the file itself. It packs the weights for its kernels and unmaps the file: one copy in memory,
 * none of it through JavaScript. On Windows one model's files must lie on one drive (not tried there).
 *
 * Creating and freeing sessions was reported to leak (onnxruntime issue 25325). With 1.30 on Linux, 6,000 rounds of a
 * tiny model grew the process by 16 MB and 1,800 rounds of 4 MB of weights by 11 MB: not worth a workaround, but compile
 * once and keep the executable, since packing takes seconds per GB.
 */

import type { DType, HostTensor } from '../core/index.ts';
import type { OnnxModel } from '../graph/index.ts';
import { Binding, type BindOptions, type DeviceTensors, type RunOptions } from './binding.ts';
import { multipliesBytes, multipliesBytesExactly } from './byte-products.ts';
import { type CompileOptions, createSession } from './create-session.ts';
import { DeviceTensor } from './device-tensor.ts';
import { checkDevice, deviceError } from './devices.ts';
import { OrtError } from './errors.ts';
import { Session } from './session.ts';

export type { CompileOptions };

/** Tensors by input name; those in host memory are read in place, and must not change until the run has ended. */
export type Feeds = Readonly<Record<string, DeviceTensor | HostTensor>>;

/**
 * Loads and optimises `model` on a libuv thread. Throws `OrtError` when ONNX Runtime refuses it, or {@link LlavaError} when the
 * device is not there or refuses it.
 */
export async function compile(model: OnnxModel, options: CompileOptions = {}): Promise<Executable> {
  const { device = 'cpu' } = options;
  checkDevice(device);
  try {
    const name = options.name ?? 'model';
    // On other devices too it is the processor that multiplies bytes.
    const exactBytes = !multipliesBytes(model) || (await multipliesBytesExactly());
    return new Executable(name, model, await createSession(model, { ...options, name, exactBytes }));
  } catch (error) {
    throw device === 'cpu' || !(error instanceof OrtError) ? error : deviceError(device, error);
  }
}

/** A loaded model. */
export class Executable implements Disposable {
  readonly name: string;
  readonly inputs: OnnxModel['inputs'];
  readonly outputs: OnnxModel['outputs'];
  readonly #session: Session;

  /** Use {@link compile}. */
  constructor(name: string, model: OnnxModel, session: bigint) {
    this.name = name;
    this.inputs = model.inputs;
    this.outputs = model.outputs;
    this.#session = new Session(name, model, session);
  }

  get disposed(): boolean {
    return this.#session.owned.disposed;
  }

  /**
   * New memory with unspecified content for an input that stays between runs, where the device reads it; bind the output that
   * extends it to the same.
   */
  allocate(input: string, shape: readonly number[]): DeviceTensor {
    const dtype: DType = this.#session.inputs.get(input)!.dtype;
    const allocator = this.#session.allocatorOf(input);
    if (!allocator) return DeviceTensor.allocate(dtype, shape);
    try {
      return DeviceTensor.allocateOn(allocator, dtype, shape);
    } finally {
      allocator.release();
    }
  }

  /** Whether JavaScript can see what {@link allocate} makes for this input. */
  isHostInput(input: string): boolean {
    using tensor = this.allocate(input, [1]);
    return tensor.isHost;
  }

  /** Fixes tensors to inputs and outputs, for running many times. */
  bind(inputs: DeviceTensors, options: BindOptions = {}): Binding {
    return new Binding(this.#session, inputs, options);
  }

  /**
   * Runs once. Runs may overlap, unless they write to the same tensors.
   * @returns the fetched outputs: bound tensors themselves, others new and the caller's to dispose.
   */
  async run(feeds: Feeds, options: BindOptions & RunOptions = {}): Promise<Record<string, DeviceTensor>> {
    const wrapped: DeviceTensor[] = [];
    try {
      const inputs: Record<string, DeviceTensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) {
        inputs[name] = tensor instanceof DeviceTensor ? tensor : DeviceTensor.over(tensor);
        if (inputs[name] !== tensor) wrapped.push(inputs[name]);
      }
      return await this.bind(inputs, options).run(options);
    } finally {
      for (const tensor of wrapped) tensor.dispose();
    }
  }

  /** Frees the model once the runs under way have ended. Idempotent. */
  dispose(): void {
    this.#session.owned.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
