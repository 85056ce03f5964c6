/** @file Native sessions: a model and how ONNX Runtime shall run it, loaded and optimised. */

import { availableParallelism } from 'node:os';
import { parse } from 'node:path';
import { assert } from '../core/index.ts';
import type { OnnxModel } from '../graph/index.ts';
import { type Api, callAsync, check, create, pointerArray } from './api.ts';
import { appendDevice, type Device } from './devices.ts';
import { ort } from './library.ts';

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

/** What a session is told beside. */
export interface SessionOptions extends CompileOptions {
  /** Whether products of u8 by i8 are exact on the processor, see byte-products.ts. */
  readonly exactBytes: boolean;
}

/** Has ONNX Runtime load a model on a libuv thread; the `OrtSession` is the caller's to release. */
export async function createSession(model: OnnxModel, options: SessionOptions): Promise<bigint> {
  const { api, env } = ort();
  const where = `compile(${options.name ?? 'model'})`;
  const { bytes } = model;
  const sessionOptions = createSessionOptions(api, where, options);
  const session = pointerArray([0n]);
  try {
    appendDevice(api, where, sessionOptions, options.device ?? 'cpu');
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
  return session[0]!;
}

function createSessionOptions(api: Api, where: string, options: SessionOptions): bigint {
  const threads = options.threads ?? availableParallelism();
  assert(Number.isInteger(threads) && threads > 0, `${where}: threads ${threads}`);
  const config = {
    'session.model_external_initializers_file_folder_path': options.externalRoot ?? parse(process.cwd()).root,
    'session.intra_op.allow_spinning': (options.spinning ?? true) ? '1' : '0',
    'session.force_spinning_stop': options.spinning === 'run' ? '1' : '0',
    'session.disable_prepacking': (options.prepack ?? true) ? '0' : '1',
    // Weights become u8 while they are loaded, whose products with u8 are exact everywhere, and slower where both are.
    'session.x64quantprecision': options.exactBytes ? '0' : '1',
  };
  const native = create(api, where, out => api.CreateSessionOptions(out));
  check(api, where, api.SetIntraOpNumThreads(native, threads));
  check(api, where, api.SetInterOpNumThreads(native, 1));
  check(api, where, api.SetSessionGraphOptimizationLevel(native, OPTIMIZATION[options.optimization ?? 'all']));
  check(api, where, api.SetSessionLogSeverityLevel(native, LOG_FATAL));
  for (const [key, value] of Object.entries(config)) check(api, where, api.AddSessionConfigEntry(native, key, value));
  return native;
}
