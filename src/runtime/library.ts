/**
 * @file Finds and loads the ONNX Runtime library that the npm package `onnxruntime-node` ships. Nothing is loaded until
 * the first use, so that commands which compute nothing start fast.
 *
 * Run on linux/x64; the other platforms' paths are read from the package.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { assert, LlavaError } from '../core/index.ts';
import { type Api, create, readApi } from './api.ts';

type Koffi = typeof import('koffi');

/** Version of the API struct asked for; ONNX Runtime 1.n offers versions 1 to n. */
const API_VERSION = 29;
const RELEASE = /^1\.30\./;
const LOG_FATAL = 4;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;
/** `M_MMAP_THRESHOLD` of mallopt(3). */
const MMAP_THRESHOLD = -3;
/** ONNX Runtime works on this stack in asynchronous calls; koffi's default of 128 KiB is small for deep graphs. */
const ASYNC_STACK_BYTES = 1 << 20;

/** `platform-arch` → file under `bin/napi-v6/platform/arch/` of `onnxruntime-node` 1.30. */
const LIBRARIES: { readonly [platform: string]: string } = {
  'linux-x64': 'libonnxruntime.so.1',
  'linux-arm64': 'libonnxruntime.so.1',
  'darwin-arm64': 'libonnxruntime.1.30.0.dylib',
  'win32-x64': 'onnxruntime.dll',
  'win32-arm64': 'onnxruntime.dll',
};

/** The loaded library. It lives as long as the process. */
export interface Ort {
  readonly koffi: Koffi;
  readonly api: Api;
  /** e.g. '1.30.0'. */
  readonly version: string;
  readonly env: bigint;
  /** Allocator of plain host memory. */
  readonly allocator: bigint;
  /** Describes host memory to functions that wrap it. */
  readonly cpuMemory: bigint;
  /** koffi unloads a library whose handle is collected, and calls through its pointers then crash. */
  readonly handle: unknown;
}

let loaded: Ort | undefined;

/** The library, loaded on first use. Throws {@link LlavaError} where there is none for this platform. */
export function ort(): Ort {
  loaded ??= load();
  return loaded;
}

/** Absolute path of the library for a platform (`process.platform`, `process.arch`). */
export function libraryPath(platform: string, arch: string): string {
  const file = LIBRARIES[`${platform}-${arch}`];
  if (file === undefined) {
    const known = Object.keys(LIBRARIES).join(', ');
    throw new LlavaError(`onnxruntime-node: expected one of the platforms ${known}, got ${platform}-${arch}`);
  }
  const root = join(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'), '..');
  return join(root, 'bin', 'napi-v6', platform, arch, file);
}

function load(): Ort {
  const koffi = loadKoffi();
  returnLargeBlocks(koffi);
  const handle = openLibrary(koffi, libraryPath(process.platform, process.arch));
  const base: unknown = handle.func('OrtGetApiBase', 'void *', [])();
  const version = baseFunction(koffi, base, 1, 'const char *', [])() as string;
  if (!RELEASE.test(version)) throw new LlavaError(`onnxruntime-node: expected version 1.30.x, got ${version}`);
  const address = baseFunction(koffi, base, 0, 'void *', ['uint32_t'])(API_VERSION) as bigint | null;
  assert(address, `ONNX Runtime ${version} has no API version ${API_VERSION}`);
  const api = readApi(koffi, address);
  const where = 'onnxruntime';
  return {
    koffi,
    api,
    version,
    env: create(api, where, out => api.CreateEnv(LOG_FATAL, 'llava', out)),
    allocator: create(api, where, out => api.GetAllocatorWithDefaultOptions(out)),
    cpuMemory: create(api, where, out => api.CreateCpuMemoryInfo(ARENA_ALLOCATOR, DEFAULT_MEMORY, out)),
    handle,
  };
}

/**
 * Has glibc take blocks above 1 MiB from the system one by one, and give them back when they are freed. Its own limit grows
 * to 32 MiB with use; then weights of 16 bits, freed as they are converted, leave holes between the converted ones: a model
 * of 224 million parameters took 1.17 GB instead of 0.96.
 */
function returnLargeBlocks(koffi: Koffi): void {
  if (process.platform !== 'linux') return;
  try {
    koffi.load('libc.so.6').func('mallopt', 'int', ['int', 'int'])(MMAP_THRESHOLD, 2 ** 20);
  } catch {
    // Another C library has no such call, and no such limit.
  }
}

/** `require`, since an import would load koffi's addon at start. */
function loadKoffi(): Koffi {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  try {
    koffi.config({ ...koffi.config(), async_stack_size: ASYNC_STACK_BYTES });
  } catch {
    // Refused once any library is open: then the program's own setting stands.
  }
  return koffi;
}

function openLibrary(koffi: Koffi, path: string): ReturnType<Koffi['load']> {
  if (!existsSync(path)) {
    throw new LlavaError(`onnxruntime-node: expected the library ${path}, got no such file (install the package anew)`);
  }
  try {
    return koffi.load(path);
  } catch (error) {
    const hint = process.platform === 'linux' ? ' (it needs glibc 2.28 or later; musl is not supported)' : '';
    throw new LlavaError(`onnxruntime-node: cannot load ${path}: ${(error as Error).message}${hint}`);
  }
}

/** A function of `OrtApiBase`: 0 is GetApi, 1 is GetVersionString. */
function baseFunction(koffi: Koffi, base: unknown, index: number, result: string, parameters: string[]) {
  const pointer: unknown = koffi.decode(base, index * koffi.sizeof('void *'), 'void *');
  return koffi.decode(pointer, koffi.proto(result, parameters)) as (...args: unknown[]) => unknown;
}
