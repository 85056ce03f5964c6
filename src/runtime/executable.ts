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

import { availableParallelism } from 'node:os';
import { parse } from 'node:path';
import { assert, type DType, type HostTensor } from '../core/index.ts';
import type { OnnxModel } from '../graph/index.ts';
import { type Api, callAsync, check, create, pointerArray } from './api.ts';
import { Binding, type BindOptions, type DeviceTensors, type RunOptions } from './binding.ts';
import { DeviceTensor } from './device-tensor.ts';
import { appendDevice, checkDevice, type Device, deviceError } from './devices.ts';
import { OrtError } from './errors.ts';
import { ort } from './library.ts';
import { Session } from './session.ts';

/** `GraphOptimizationLevel` of the C API. */
const OPTIMIZATION = { none: 0, basic: 1, extended: 2, all: 99 } as const;
const LOG_FATAL = 4;

export interface CompileOptions {
  /** Name in error messages. Default 'model'. */
  readonly name?: string;
  /** What computes; the processor helps out with what it cannot. Default 'cpu'. */
  readonly device?: Device;
  /** Threads of one run. Default: all cores the process may use. */
  readonly threads?: number;
  /** How far ONNX Runtime rewrites the graph. Default 'all'. */
  readonly optimization?: keyof typeof OPTIMIZATION;
  /**
   * Threads busy-wait for work between nodes. Default true: 200 small nodes took 1.3 ms instead of 2.0 on 2 cores. But
   * with 20 ms between runs it burned 24 ms of processor time for each instead of 3, so servers should say false. 'run': only
   * until the end of a run, for executables that take turns.
   */
  readonly spinning?: boolean | 'run';
  /**
   * Rearrange weights for the kernels while loading. Default true. False leaves f32 weights in the mapped file (loads at
   * once, memory is reclaimable page cache, about the same speed); quantised weights become several times slower.
   */
  readonly prepack?: boolean;
  /** Root of external data locations. Default: the root of the working directory, '/' or on Windows its drive. */
  readonly externalRoot?: string;
}

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
    return await compileOn(device, model, options);
  } catch (error) {
    throw device === 'cpu' || !(error instanceof OrtError) ? error : deviceError(device, error);
  }
}

async function compileOn(device: Device, model: OnnxModel, options: CompileOptions): Promise<Executable> {
  const { api, env } = ort();
  const name = options.name ?? 'model';
  const where = `compile(${name})`;
  const { bytes } = model;
  const sessionOptions = createSessionOptions(api, where, options);
  const session = pointerArray([0n]);
  try {
    appendDevice(api, where, sessionOptions, device);
    const parameters: Parameters<typeof api.CreateSessionFromArray> = [
      env,
      bytes,
      bytes.length,
      sessionOptions,
      session,
    ];
    await callAsync(api, where, api.CreateSessionFromArray, parameters, session);
  } finally {
    api.ReleaseSessionOptions(sessionOptions);
  }
  return new Executable(name, model, session[0]!);
}

function createSessionOptions(api: Api, where: string, options: CompileOptions): bigint {
  const threads = options.threads ?? availableParallelism();
  assert(Number.isInteger(threads) && threads > 0, `${where}: threads ${threads}`);
  const config = {
    'session.model_external_initializers_file_folder_path': options.externalRoot ?? parse(process.cwd()).root,
    'session.intra_op.allow_spinning': (options.spinning ?? true) ? '1' : '0',
    'session.force_spinning_stop': options.spinning === 'run' ? '1' : '0',
    'session.disable_prepacking': (options.prepack ?? true) ? '0' : '1',
  };
  const native = create(api, where, out => api.CreateSessionOptions(out));
  check(api, where, api.SetIntraOpNumThreads(native, threads));
  check(api, where, api.SetInterOpNumThreads(native, 1));
  check(api, where, api.SetSessionGraphOptimizationLevel(native, OPTIMIZATION[options.optimization ?? 'all']));
  check(api, where, api.SetSessionLogSeverityLevel(native, LOG_FATAL));
  for (const [key, value] of Object.entries(config)) check(api, where, api.AddSessionConfigEntry(native, key, value));
  return native;
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
