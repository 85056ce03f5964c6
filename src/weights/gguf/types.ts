/**
 * @file What GGUF files are made of: the types of metadata values and the element types of tensors, ggml's, with their
 * numbers in files. Source: the format's description in ggml's `docs/gguf.md`.
 */

import type { DType } from '../../core/index.ts';

/** Types of a single metadata value, in the order of their numbers; `array` is number 9. */
export const VALUE_TYPES = [
  ...(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const),
];

/** Type of a metadata value that is not an array. */
export type ScalarType = Exclude<(typeof VALUE_TYPES)[number], 'array'>;

/** A metadata value. 64-bit integers are numbers where those are exact, else bigints. */
export type GgufValue =
  | { readonly type: ScalarType; readonly value: number | bigint | boolean | string }
  | { readonly type: 'array'; readonly items: 'string'; readonly values: readonly string[] }
  | { readonly type: 'array'; readonly items: Exclude<ScalarType, 'string'>; readonly values: NumberList };

/** Numbers as they are in the file; truth values are bytes. */
export type NumberList =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** Metadata by key, in the order of the file. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** An element type of tensors. Rows are whole blocks of `blockSize` elements, each in `blockBytes` bytes. */
export interface TensorType {
  readonly name: TensorTypeName;
  /** Its number in files. */
  readonly id: number;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** The host type with the same bytes; absent for quantised types. */
  readonly dtype?: DType;
}

const plain = (id: number, bytes: number, dtype: DType) => ({ id, blockSize: 1, blockBytes: bytes, dtype });
const blocks = (id: number, blockSize: number, blockBytes: number) => ({ id, blockSize, blockBytes });

const TENSOR_TYPES = {
  F32: plain(0, 4, 'f32'),
  F16: plain(1, 2, 'f16'),
  Q4_0: blocks(2, 32, 18),
  Q4_1: blocks(3, 32, 20),
  Q5_0: blocks(6, 32, 22),
  Q5_1: blocks(7, 32, 24),
  Q8_0: blocks(8, 32, 34),
  Q2_K: blocks(10, 256, 84),
  Q3_K: blocks(11, 256, 110),
  Q4_K: blocks(12, 256, 144),
  Q5_K: blocks(13, 256, 176),
  Q6_K: blocks(14, 256, 210),
  I8: plain(24, 1, 'i8'),
  I16: plain(25, 2, 'i16'),
  I32: plain(26, 4, 'i32'),
  I64: plain(27, 8, 'i64'),
  F64: plain(28, 8, 'f64'),
  BF16: plain(30, 2, 'bf16'),
};

/** Name of an element type, as ggml writes it. */
export type TensorTypeName = keyof typeof TENSOR_TYPES;

/** Name of a type whose blocks must be computed to become numbers. */
export type QuantisedType = Extract<TensorTypeName, `Q${string}`>;

/** All element types, by name. */
export const TENSOR_TYPE_TABLE: ReadonlyMap<TensorTypeName, TensorType> = new Map(
  Object.entries(TENSOR_TYPES).map(([name, type]) => [
    name as TensorTypeName,
    { ...type, name: name as TensorTypeName },
  ]),
);

/** The element type of a number in a file. */
export const TENSOR_TYPE_BY_ID: ReadonlyMap<number, TensorType> = new Map(
  [...TENSOR_TYPE_TABLE.values()].map(type => [type.id, type]),
);

/** The first four bytes of a file, read as a little-endian u32: "GGUF". */
export const MAGIC = 0x46554747;

/** Data of tensors begin at multiples of this many bytes unless `general.alignment` says otherwise. */
export const DEFAULT_ALIGNMENT = 32;

/** Most dimensions of a tensor. */
export const MAX_DIMENSIONS = 4;
