import { availableParallelism } from 'node:os';
import { check } from './api.ts';
import { ort } from './library.ts';

export interface RuntimeInfo {
  /** Of ONNX Runtime, e.g. '1.30.0'. */
  readonly version: string;
  /** Execution providers built into the library; some need drivers or further files to work. */
  readonly providers: readonly string[];
  /** Default number of threads of a run. */
  readonly threads: number;
}

/** What computes. Loads ONNX Runtime. */
export function runtimeInfo(): RuntimeInfo {
  const { koffi, api, version } = ort();
  const names = new BigUint64Array(1);
  const count = new Int32Array(1);
  check(api, 'onnxruntime', api.GetAvailableProviders(names, count));
  const pointerSize = koffi.sizeof('void *');
  const providers = Array.from({ length: count[0]! }, (_, i): string =>
    koffi.decode(names[0]!, i * pointerSize, 'const char *'),
  );
  check(api, 'onnxruntime', api.ReleaseAvailableProviders(names[0]!, count[0]!));
  return { version, providers, threads: availableParallelism() };
}
