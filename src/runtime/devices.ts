/**
 * @file Where graphs are computed: the processor, or what ONNX Runtime's other execution providers drive. Which of these a build
 * of ONNX Runtime holds depends on the platform; whether they start depends on the machine. Run on linux/x64 with the processor
 * and with WebGPU on a software Vulkan device; the others are written from the documentation of ONNX Runtime.
 */

import { LlavaError } from '../core/index.ts';
import type { EmitOptions } from '../graph/index.ts';
import { type Api, check, create, pointerArray } from './api.ts';
import { runtimeInfo } from './info.ts';

/** Kinds of devices. */
export const DEVICES = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const;

/** One of {@link DEVICES}. */
export type Device = (typeof DEVICES)[number];

interface Provider {
  /** In the list of what a build holds. */
  readonly listed: string;
  readonly append: (api: Api, where: string, sessionOptions: bigint) => void;
  /** What it takes, for errors. */
  readonly needs: string;
}

const PROVIDERS: { readonly [D in Exclude<Device, 'cpu'>]: Provider } = {
  cuda: {
    listed: 'CUDAExecutionProvider',
    append: appendCuda,
    needs:
      'Linux on x64, a driver for CUDA 12 with cuDNN 9, and the libraries that `node node_modules/onnxruntime-node/script/install` fetches',
  },
  webgpu: {
    listed: 'WebGpuExecutionProvider',
    append: (...call) => appendByName(...call, 'WebGPU'),
    needs: 'a graphics card with a driver for Vulkan, Direct3D 12 or Metal',
  },
  coreml: {
    listed: 'CoreMLExecutionProvider',
    append: (...call) => appendByName(...call, 'CoreML'),
    needs: 'macOS on Apple silicon',
  },
  dml: {
    listed: 'DmlExecutionProvider',
    append: (...call) => appendByName(...call, 'DML'),
    needs: 'Windows and a graphics card for Direct3D 12',
  },
};

/** Devices whose providers leave ONNX Runtime's FusedMatMul, and with it all linear layers, to the processor. */
const WITHOUT_FUSED_MATMUL: ReadonlySet<Device> = new Set(['webgpu', 'coreml']);

/** How graphs are written for a device. */
export function emitOptionsFor(device: Device): EmitOptions {
  return { hasFusedMatMul: !WITHOUT_FUSED_MATMUL.has(device) };
}

/** Throws {@link LlavaError} for a device that is unknown, or that this build of ONNX Runtime does not hold. */
export function checkDevice(device: Device): void {
  if (!DEVICES.includes(device)) {
    throw new LlavaError(`option device: expected one of ${DEVICES.join(', ')}, got ${device}`);
  }
  if (device === 'cpu' || isBuiltIn(device)) return;
  const held = DEVICES.filter(name => name === 'cpu' || isBuiltIn(name)).join(', ');
  const { version } = runtimeInfo();
  throw new LlavaError(
    `option device: expected one that ONNX Runtime ${version} holds on ${process.platform}-${process.arch} (${held}), ` +
      `got ${device} (it needs ${PROVIDERS[device].needs})`,
  );
}

const isBuiltIn = (device: Exclude<Device, 'cpu'>): boolean =>
  runtimeInfo().providers.includes(PROVIDERS[device].listed);

/** Has sessions made with these options compute on `device`, and on the processor what it cannot. */
export function appendDevice(api: Api, where: string, sessionOptions: bigint, device: Device): void {
  if (device !== 'cpu') PROVIDERS[device].append(api, where, sessionOptions);
}

/** The error for a device on which `where` failed. */
export function deviceError(device: Exclude<Device, 'cpu'>, error: Error): LlavaError {
  const got = error.message.replace(/^.* was false\. /, '');
  const message = `option device: expected ${device} to work here (it needs ${PROVIDERS[device].needs}), got ${got}`;
  return new LlavaError(message, { cause: error });
}

function appendByName(api: Api, where: string, sessionOptions: bigint, name: string): void {
  const none = pointerArray([0n]);
  check(api, where, api.SessionOptionsAppendExecutionProvider(sessionOptions, name, none, none, 0));
}

function appendCuda(api: Api, where: string, sessionOptions: bigint): void {
  const options = create(api, where, out => api.CreateCUDAProviderOptions(out));
  try {
    check(api, where, api.SessionOptionsAppendExecutionProvider_CUDA_V2(sessionOptions, options));
  } finally {
    api.ReleaseCUDAProviderOptions(options);
  }
}
