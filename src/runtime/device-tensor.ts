/**
 * @file Tensors in memory that ONNX Runtime reads and writes directly: it stays there between runs (KV cache,
 * parameters, optimizer state), can be an input and an output at once, and can be cut into slices without copying.
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
import { Handle, Owned } from './handle.ts';
import { ort } from './library.ts';

/** Node 20 aborts on an ArrayBuffer over 4 GiB or more of foreign memory. */
const VIEW_LIMIT = 2 ** 32;

/** Keeps a tensor, and so its memory, for as long as anyone holds an array over it. */
const viewed = new WeakMap<ArrayBuffer, DeviceTensor>();

/** Row-major tensor that runs use in place. Dispose it when done; a slice keeps the memory it shares. */
export class DeviceTensor implements Disposable {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #owned: Owned;
  #view: TypedArray | undefined;
  #detach: ArrayBuffer | undefined;

  private constructor(dtype: DType, shape: readonly number[], handle: Handle, view?: TypedArray) {
    this.dtype = dtype;
    this.shape = shape;
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
    const { api, allocator } = ort();
    const dims = toDims(shape);
    const value = create(api, `allocate ${dtype} [${shape}]`, out =>
      api.CreateTensorAsOrtValue(allocator, dims, dims.length, ONNX_DTYPE[dtype], out),
    );
    return DeviceTensor.adopt(dtype, value);
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
    const parent = this.handle.retain();
    const address = dataAddress(parent.pointer) + BigInt(offset * dtypeSize(this.dtype));
    const free = (value: bigint) => {
      ort().api.ReleaseValue(value);
      parent.release();
    };
    return new DeviceTensor(this.dtype, shape, wrapMemory(this.dtype, shape, address, free));
  }

  /**
   * An array over the memory itself, below 4 GiB. After `dispose()` it has length 0. Do not touch it while a run that
   * writes the tensor is under way.
   */
  view(): TypedArray {
    const { pointer } = this.handle;
    if (this.#view) return this.#view;
    assert(this.byteLength < VIEW_LIMIT, `view of ${this.byteLength} bytes; slice the tensor`);
    const buffer = foreignBuffer(dataAddress(pointer), this.byteLength);
    viewed.set(buffer, this);
    this.#detach = buffer;
    this.#view = viewBytes(this.dtype, new Uint8Array(buffer));
    return this.#view;
  }

  /** A copy in host memory. */
  read(): HostTensor {
    return hostTensor(this.dtype, this.shape, this.view().slice());
  }

  /** Copies `data` in; it must have the tensor's length and array type. */
  write(data: TypedArray): void {
    const view = this.view();
    assert(
      data.constructor === view.constructor && data.length === view.length,
      `write ${data.constructor.name}(${data.length}) to ${this.dtype} [${this.shape}]`,
    );
    (view as Uint8Array).set(data as Uint8Array);
  }

  /** Lets go of the memory, at once or when the last run or slice that uses it has ended. Idempotent. */
  dispose(): void {
    // A view left behind would dangle: transferring its buffer empties it.
    if (this.#detach) structuredClone(this.#detach, { transfer: [this.#detach] });
    this.#detach = undefined;
    this.#view = undefined;
    this.#owned.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The memory as byte arrays of at most 1 GiB. */
  *#byteChunks(): Generator<Uint8Array> {
    const start = dataAddress(this.handle.pointer);
    const chunk = 2 ** 30;
    for (let offset = 0; offset < this.byteLength; offset += chunk) {
      yield new Uint8Array(foreignBuffer(start + BigInt(offset), Math.min(chunk, this.byteLength - offset)));
    }
  }
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

/** An ArrayBuffer over native memory, which must stay until the buffer is collected or detached. */
function foreignBuffer(address: bigint, bytes: number): ArrayBuffer {
  return bytes === 0 ? new ArrayBuffer(0) : ort().koffi.view(address, bytes);
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
