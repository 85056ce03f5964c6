/**
 * @file Tensors in memory that ONNX Runtime reads and writes directly: it stays there between runs (KV cache,
 * parameters, optimizer state), can be an input and an output at once, and can be cut into slices without copying. That of a
 * graphics card serves runs on it, but JavaScript cannot see it.
 * Memory of a JavaScript array must not be transferred to another thread or resized while a tensor is over it.
 */

import {
  assert,
  type DType,
  dtypeSize,
  type HostTensor,
  hostTensor,
  sizeOf,
  type TypedArray,
  viewBytes,
} from '../core/index.ts';
import { ONNX_DTYPE } from '../graph/index.ts';
import { check, create } from './api.ts';
import { Handle, Owned, retainFor } from './handle.ts';
import { ort } from './library.ts';

/** Node 20 aborts on an ArrayBuffer over 4 GiB or more of foreign memory. */
const VIEW_LIMIT = 2 ** 32;

/** Row-major tensor that runs use in place. Dispose it when done; a slice keeps the memory it shares. */
export class DeviceTensor implements Disposable {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether JavaScript can see the memory. */
  readonly isHost: boolean;
  readonly #owned: Owned;
  #view: TypedArray | undefined;

  private constructor(dtype: DType, shape: readonly number[], handle: Handle, view?: TypedArray, isHost = true) {
    this.dtype = dtype;
    this.shape = shape;
    this.isHost = isHost;
    this.#view = view;
    this.#owned = new Owned(this, `tensor ${dtype} [${shape}]`, handle);
  }

  /** Over `tensor`'s own array, which runs then read and write: nothing is copied. */
  static over(tensor: HostTensor): DeviceTensor {
    const { dtype, shape, data } = tensor;
    assert(data.length === sizeOf(shape), `tensor [${shape}] needs ${sizeOf(shape)} elements, got ${data.length}`);
    // Small arrays live on V8's movable heap until their buffer is asked for.
    const keeps = [data, data.buffer];
    const address = data.byteLength === 0 ? 0n : ort().koffi.address(data);
    return new DeviceTensor(dtype, shape, wrapMemory(dtype, shape, address, ort().api.ReleaseValue, keeps), data);
  }

  /** New memory of ONNX Runtime with unspecified content; system memory is used only once written. */
  static allocate(dtype: DType, shape: readonly number[]): DeviceTensor {
    return DeviceTensor.adopt(dtype, allocateBy(ort().allocator, dtype, shape));
  }

  /** New memory of a device, by its `OrtAllocator`, which is held as long as the memory is. For this folder only. */
  static allocateOn(allocator: Handle, dtype: DType, shape: readonly number[]): DeviceTensor {
    const value = allocateBy(allocator.pointer, dtype, shape);
    allocator.retain();
    const free = (pointer: bigint) => {
      ort().api.ReleaseValue(pointer);
      allocator.release();
    };
    return new DeviceTensor(dtype, shape, new Handle(value, free), undefined, false);
  }

  /** New memory of ONNX Runtime, filled with zeros. */
  static zeros(dtype: DType, shape: readonly number[]): DeviceTensor {
    const tensor = DeviceTensor.allocate(dtype, shape);
    for (const bytes of tensor.#byteChunks()) bytes.fill(0);
    return tensor;
  }

  /** Takes over an `OrtValue` that a run has made. For this folder only. */
  static adopt(dtype: DType, value: bigint): DeviceTensor {
    const { api } = ort();
    return new DeviceTensor(dtype, readShape(value), new Handle(value, api.ReleaseValue));
  }

  /** The native value. For this folder only. */
  get handle(): Handle {
    return this.#owned.handle;
  }

  get disposed(): boolean {
    return this.#owned.disposed;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get byteLength(): number {
    return this.size * dtypeSize(this.dtype);
  }

  /** The `shape` elements from element `offset` on, sharing memory. Dispose it too; the memory outlives either. */
  slice(offset: number, shape: readonly number[]): DeviceTensor {
    const end = offset + sizeOf(shape);
    assert(
      Number.isInteger(offset) && offset >= 0 && end <= this.size,
      `slice [${offset}, ${end}) of ${this.size} elements`,
    );
    const parent = this.#hostHandle;
    const address = dataAddress(parent.pointer) + BigInt(offset * dtypeSize(this.dtype));
    const free = (value: bigint) => {
      ort().api.ReleaseValue(value);
      parent.release();
    };
    const slice = new DeviceTensor(this.dtype, shape, wrapMemory(this.dtype, shape, address, free));
    parent.retain();
    return slice;
  }

  /**
   * An array over the memory itself, below 4 GiB; do not touch it while a run that writes the tensor is under way. It
   * stays valid after `dispose()`: memory of ONNX Runtime is then freed only when the array is garbage collected, so
   * loops should rather `read()`, or bind a tensor over a host array.
   */
  view(): TypedArray {
    const handle = this.#hostHandle;
    if (this.#view) return this.#view;
    this.#view = this.#foreignView();
    retainFor(this.#view.buffer, handle);
    return this.#view;
  }

  /** A copy in host memory. */
  read(): HostTensor {
    return hostTensor(this.dtype, this.shape, this.#elements().slice());
  }

  /** Copies `data` in; it must have the tensor's length and array type. */
  write(data: TypedArray): void {
    const elements = this.#elements();
    assert(
      data.constructor === elements.constructor && data.length === elements.length,
      `write ${data.constructor.name}(${data.length}) to ${this.dtype} [${this.shape}]`,
    );
    (elements as Uint8Array).set(data as Uint8Array);
  }

  /** Lets go of the memory, at once or when the last run, slice or view that uses it has gone. Idempotent. */
  dispose(): void {
    this.#view = undefined;
    this.#owned.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** For use within one method only: it does not keep the memory. */
  #elements(): TypedArray {
    return this.#view ?? this.#foreignView();
  }

  get #hostHandle(): Handle {
    assert(this.isHost, `${this.dtype} [${this.shape}] in a device's memory read by JavaScript`);
    return this.handle;
  }

  #foreignView(): TypedArray {
    const { byteLength } = this;
    assert(byteLength < VIEW_LIMIT, `view of ${byteLength} bytes; slice the tensor`);
    return viewBytes(this.dtype, foreignBytes(dataAddress(this.#hostHandle.pointer), byteLength));
  }

  /** The memory as byte arrays of at most 1 GiB. */
  *#byteChunks(): Generator<Uint8Array> {
    const start = dataAddress(this.#hostHandle.pointer);
    const chunk = 2 ** 30;
    for (let offset = 0; offset < this.byteLength; offset += chunk) {
      yield foreignBytes(start + BigInt(offset), Math.min(chunk, this.byteLength - offset));
    }
  }
}

/** A new `OrtValue` in memory of an `OrtAllocator`. */
function allocateBy(allocator: bigint, dtype: DType, shape: readonly number[]): bigint {
  const { api } = ort();
  const dims = toDims(shape);
  return create(api, `allocate ${dtype} [${shape}]`, out =>
    api.CreateTensorAsOrtValue(allocator, dims, dims.length, ONNX_DTYPE[dtype], out),
  );
}

/** An `OrtValue` over memory that someone else owns, and that must stay until `free` is called. */
function wrapMemory(
  dtype: DType,
  shape: readonly number[],
  address: bigint,
  free: (value: bigint) => void,
  keeps?: unknown,
): Handle {
  const { api, cpuMemory } = ort();
  const dims = toDims(shape);
  const bytes = sizeOf(shape) * dtypeSize(dtype);
  const value = create(api, `tensor ${dtype} [${shape}]`, out =>
    api.CreateTensorWithDataAsOrtValue(cpuMemory, address, bytes, dims, dims.length, ONNX_DTYPE[dtype], out),
  );
  return new Handle(value, free, keeps);
}

function toDims(shape: readonly number[]): BigInt64Array {
  assert(
    shape.every(dim => Number.isSafeInteger(dim) && dim >= 0),
    `tensor of shape [${shape}]`,
  );
  return BigInt64Array.from(shape, BigInt);
}

/** Address of a value's first element; 0 when it has none. */
function dataAddress(value: bigint): bigint {
  const { api } = ort();
  return create(api, 'tensor', out => api.GetTensorMutableData(value, out));
}

/** Native memory as an array, which must not be used longer than the memory lasts. */
function foreignBytes(address: bigint, length: number): Uint8Array {
  return length === 0 ? new Uint8Array() : new Uint8Array(ort().koffi.view(address, length));
}

function readShape(value: bigint): readonly number[] {
  const { api } = ort();
  const info = create(api, 'tensor shape', out => api.GetTensorTypeAndShape(value, out));
  try {
    const rank = Number(create(api, 'tensor shape', out => api.GetDimensionsCount(info, out)));
    const dims = new BigInt64Array(new ArrayBuffer(rank * 8));
    check(api, 'tensor shape', api.GetDimensions(info, dims, rank));
    return Array.from(dims, Number);
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(info);
  }
}
