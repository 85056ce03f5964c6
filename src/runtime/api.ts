/**
 * @file The functions of ONNX Runtime's C API that are used, typed. `OrtApi` is a struct of function pointers that only
 * ever grows at its end, so a function is known by its index. Indexes and parameters are those of
 * `onnxruntime_c_api.h` of version 1.29, in which the struct has 425 members.
 */

import { OrtError } from './errors.ts';

type Koffi = typeof import('koffi');

/** What JavaScript passes for a C parameter. A view or null stands for the address of its bytes. */
interface Arguments {
  pointer: bigint | ArrayBufferView | null;
  string: string;
  int: number;
  size: number;
}

/** What a C function returns. A status is null when all went well; else it goes to {@link check}. */
interface Results {
  status: bigint | null;
  pointer: bigint | null;
  string: string;
  int: number;
  void: undefined;
}

const C_TYPES: { readonly [K in keyof Arguments | keyof Results]: string } = {
  pointer: 'void *',
  status: 'void *',
  string: 'const char *',
  int: 'int',
  size: 'size_t',
  void: 'void',
};

type Signature = readonly [index: number, result: keyof Results, ...parameters: (keyof Arguments)[]];

/** Name in the C header → place in the struct, result, parameters. Enums are int. */
const FUNCTIONS = {
  GetErrorCode: [1, 'int', 'pointer'],
  GetErrorMessage: [2, 'string', 'pointer'],
  CreateEnv: [3, 'status', 'int', 'string', 'pointer'],
  CreateSessionFromArray: [8, 'status', 'pointer', 'pointer', 'size', 'pointer', 'pointer'],
  Run: [9, 'status', 'pointer', 'pointer', 'pointer', 'pointer', 'size', 'pointer', 'size', 'pointer'],
  CreateSessionOptions: [10, 'status', 'pointer'],
  SetSessionLogSeverityLevel: [22, 'status', 'pointer', 'int'],
  SetSessionGraphOptimizationLevel: [23, 'status', 'pointer', 'int'],
  SetIntraOpNumThreads: [24, 'status', 'pointer', 'int'],
  SetInterOpNumThreads: [25, 'status', 'pointer', 'int'],
  CreateRunOptions: [39, 'status', 'pointer'],
  RunOptionsSetTerminate: [46, 'status', 'pointer'],
  CreateTensorAsOrtValue: [48, 'status', 'pointer', 'pointer', 'size', 'int', 'pointer'],
  CreateTensorWithDataAsOrtValue: [49, 'status', 'pointer', 'pointer', 'size', 'pointer', 'size', 'int', 'pointer'],
  GetTensorMutableData: [51, 'status', 'pointer', 'pointer'],
  GetDimensionsCount: [61, 'status', 'pointer', 'pointer'],
  GetDimensions: [62, 'status', 'pointer', 'pointer', 'size'],
  GetTensorTypeAndShape: [65, 'status', 'pointer', 'pointer'],
  CreateCpuMemoryInfo: [69, 'status', 'int', 'int', 'pointer'],
  GetAllocatorWithDefaultOptions: [78, 'status', 'pointer'],
  ReleaseStatus: [93, 'void', 'pointer'],
  ReleaseSession: [95, 'void', 'pointer'],
  ReleaseValue: [96, 'void', 'pointer'],
  ReleaseRunOptions: [97, 'void', 'pointer'],
  ReleaseTensorTypeAndShapeInfo: [99, 'void', 'pointer'],
  ReleaseSessionOptions: [100, 'void', 'pointer'],
  GetAvailableProviders: [125, 'status', 'pointer', 'pointer'],
  ReleaseAvailableProviders: [126, 'status', 'pointer', 'int'],
  AddSessionConfigEntry: [130, 'status', 'pointer', 'string', 'string'],
  CreateAllocator: [131, 'status', 'pointer', 'pointer', 'pointer'],
  ReleaseAllocator: [132, 'void', 'pointer'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'status', 'pointer', 'pointer'],
  CreateCUDAProviderOptions: [205, 'status', 'pointer'],
  ReleaseCUDAProviderOptions: [208, 'void', 'pointer'],
  SessionOptionsAppendExecutionProvider: [216, 'status', 'pointer', 'string', 'pointer', 'pointer', 'size'],
  MemoryInfoGetDeviceType: [225, 'void', 'pointer', 'pointer'],
  SessionGetMemoryInfoForInputs: [380, 'status', 'pointer', 'pointer', 'size'],
} as const satisfies Record<string, Signature>;

type Parameters<S extends Signature> = S extends readonly [number, unknown, ...infer P extends (keyof Arguments)[]]
  ? { [I in keyof P]: Arguments[P[I]] }
  : never;

/** A C function. `async` runs it on a libuv thread; whatever its pointers point at must be kept until the callback. */
export interface NativeFunction<P extends unknown[], R> {
  (...parameters: P): R;
  async(...parameters: [...P, (error: unknown, result: R) => void]): void;
}

export type Api = {
  readonly [K in keyof typeof FUNCTIONS]: NativeFunction<
    Parameters<(typeof FUNCTIONS)[K]>,
    Results[(typeof FUNCTIONS)[K][1]]
  >;
};

/** Reads the function pointers out of the `OrtApi` struct at `address`. */
export function readApi(koffi: Koffi, address: bigint): Api {
  const pointerSize = koffi.sizeof('void *');
  const entries = Object.entries<Signature>(FUNCTIONS).map(([name, [index, result, ...parameters]]) => {
    const pointer: unknown = koffi.decode(address, index * pointerSize, 'void *');
    const types = parameters.map(parameter => C_TYPES[parameter]);
    return [name, koffi.decode(pointer, koffi.proto(C_TYPES[result], types))];
  });
  return Object.fromEntries(entries) as Api;
}

/** Throws the {@link OrtError} that `status` describes, and frees it; a null status is success. */
export function check(api: Api, where: string, status: bigint | null): void {
  if (!status) return;
  const error = new OrtError(where, api.GetErrorCode(status), api.GetErrorMessage(status));
  api.ReleaseStatus(status);
  throw error;
}

/** Calls a function that writes a pointer (or a size) through the last parameter, and returns what it wrote. */
export function create(api: Api, where: string, call: (out: BigUint64Array) => bigint | null): bigint {
  const out = pointerArray([0n]);
  check(api, where, call(out));
  return out[0]!;
}

/** Pointers that native code may read and write, in memory that never moves. */
export function pointerArray(pointers: readonly bigint[]): BigUint64Array {
  const array = new BigUint64Array(new ArrayBuffer(pointers.length * BigUint64Array.BYTES_PER_ELEMENT));
  array.set(pointers);
  return array;
}

/**
 * Native calls at once; more wait in line. Each holds one thread of libuv's pool, which has 4 by default and which file
 * reads and name look-ups need too.
 */
const CALLS_AT_ONCE = 3;

/** Arguments of the calls under way: what native code uses must not be garbage collected. */
const underWay = new Set<object>();
let places = CALLS_AT_ONCE;
const waiting: (() => void)[] = [];

/** Calls on a libuv thread. `keep` names everything that the call's pointers need alive, besides `parameters`. */
export async function callAsync<P extends unknown[]>(
  api: Api,
  where: string,
  native: NativeFunction<P, bigint | null>,
  parameters: P,
  keep: object,
): Promise<void> {
  if (places > 0) places--;
  else await new Promise<void>(resolve => waiting.push(resolve));
  const held = { keep, parameters };
  underWay.add(held);
  try {
    const status = await new Promise<bigint | null>((resolve, reject) =>
      native.async(...parameters, (error, result) => (error ? reject(error) : resolve(result))),
    );
    check(api, where, status);
  } finally {
    underWay.delete(held);
    const next = waiting.shift();
    if (next) next();
    else places++;
  }
}
