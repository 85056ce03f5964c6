/**
 * @file Host tensors: a dtype, a shape and a flat row-major array. They carry data across folders; arithmetic on them
 * belongs to graphs.
 */

import { allocate, type DType, fromBf16, fromF16, type TypedArray, toBf16, toF16 } from './dtype.ts';
import { assert } from './errors.ts';

/** Row-major tensor in host memory. `data.length` is the product of `shape` (1 for a scalar, shape []). */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** A host tensor over `data` (kept, not copied), or zeros when `data` is omitted. */
export function hostTensor(dtype: DType, shape: readonly number[], data?: TypedArray): HostTensor {
  const array = data ?? allocate(dtype, sizeOf(shape));
  assert(
    array.length === sizeOf(shape),
    `hostTensor: shape [${shape}] needs ${sizeOf(shape)} elements, got ${array.length}`,
  );
  return { dtype, shape, data: array };
}

/** f32 tensor from numbers. */
export function f32Tensor(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  return hostTensor('f32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** i64 tensor from integers. */
export function i64Tensor(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  return hostTensor('i64', shape, BigInt64Array.from(Array.from(values), BigInt));
}

/** The elements as f32, sharing memory when they already are. */
export function toFloat32(tensor: HostTensor): Float32Array {
  const { dtype, data } = tensor;
  if (data instanceof Float32Array) return data;
  const out = new Float32Array(data.length);
  const decode = dtype === 'f16' || dtype === 'bf16' ? halfDecoder(dtype, data.length) : Number;
  for (let i = 0; i < out.length; i++) out[i] = decode(data[i] as number);
  return out;
}

/** `tensor` with another float dtype, rounded to nearest even; the same object when it has that dtype already. */
export function castFloat(tensor: HostTensor, dtype: 'f32' | 'f16' | 'bf16'): HostTensor {
  const { data, shape } = tensor;
  if (tensor.dtype === dtype) return tensor;
  if (dtype === 'f32') return hostTensor('f32', shape, toFloat32(tensor));
  const isHalf = tensor.dtype === 'f16' || tensor.dtype === 'bf16';
  const decode = isHalf ? halfDecoder(tensor.dtype, data.length) : Number;
  const encode = dtype === 'f16' ? toF16 : toBf16;
  const bits = new Uint16Array(data.length);
  for (let i = 0; i < bits.length; i++) bits[i] = encode(decode(data[i] as number));
  return hostTensor(dtype, shape, bits);
}

const halfTables = new Map<DType, Float32Array>();

/** The number of 16 bits: for many of them looked up, which is several times as fast as computing it. */
function halfDecoder(dtype: 'f16' | 'bf16', count: number): (bits: number) => number {
  const decode = dtype === 'f16' ? fromF16 : fromBf16;
  if (count < 2 ** 16) return decode;
  const table = halfTables.get(dtype) ?? Float32Array.from({ length: 2 ** 16 }, (_, bits) => decode(bits));
  halfTables.set(dtype, table);
  return bits => table[bits]!;
}

/** The tensor's bytes, without copying. */
export function tensorBytes(tensor: HostTensor): Uint8Array {
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}
