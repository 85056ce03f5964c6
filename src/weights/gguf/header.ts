/**
 * @file The header of a GGUF file, version 2 or 3, little-endian: metadata, then the names, types, shapes and places of the
 * tensors. Headers come from strangers: every count is held against the bytes that are there before anything is
 * allocated, and every tensor's place against the file and its neighbours.
 *
 * Stricter than ggml's reader: no arrays of arrays, no key or name twice, no tensor without elements.
 */

import { LlavaError } from '../../core/index.ts';
import type { ByteSource } from '../byte-source.ts';
import { GgufCursor } from './cursor.ts';
import {
  DEFAULT_ALIGNMENT,
  type GgufMetadata,
  type GgufValue,
  MAGIC,
  MAX_DIMENSIONS,
  type NumberList,
  type ScalarType,
  TENSOR_TYPE_BY_ID,
  TENSOR_TYPE_TABLE,
  type TensorType,
  VALUE_TYPES,
} from './types.ts';

/** A tensor of a header. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major: the file's dimensions backwards. */
  readonly shape: readonly number[];
  /** First byte in the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A valid header. */
export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  /** In the order of the file. */
  readonly tensors: readonly GgufTensor[];
}

/** Largest header read: ten times that of a vocabulary of 256,000 tokens. */
const MAX_HEADER_BYTES = 2 ** 28;
const MAX_KEY_BYTES = 65_535;
/** Least bytes of a metadata entry: length and type, a byte of key, a byte of value. */
const MIN_ENTRY_BYTES = 14;
/** Least bytes of a tensor's entry: length, a byte of name, dimensions, one size, type, offset. */
const MIN_TENSOR_BYTES = 33;

/**
 * Reads and checks a header.
 * @throws LlavaError that names the file and the place or the tensor at fault
 */
export function parseGgufHeader(source: ByteSource, where: string): GgufHeader {
  const cursor = new GgufCursor(source, where, MAX_HEADER_BYTES);
  const version = readVersion(cursor);
  const tensorCount = cursor.count('number of tensors', MIN_TENSOR_BYTES);
  const entryCount = cursor.count('number of metadata entries', MIN_ENTRY_BYTES);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = readName(cursor, 'metadata key', metadata);
    metadata.set(key, readValue(cursor, key));
  }
  const infos = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = readName(cursor, 'tensor name', infos);
    infos.set(name, readTensorInfo(cursor, name, where));
  }
  const alignment = alignmentOf(metadata, where);
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  return { version, metadata, tensors: placeTensors(infos, { dataStart, alignment, size: source.size, where }) };
}

/** A name from the file, fit for a line of a terminal. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}

function readVersion(cursor: GgufCursor): number {
  if (cursor.remaining < 8) cursor.fail('a GGUF file', `${cursor.remaining} bytes`);
  const magic = cursor.u32('magic');
  if (magic !== MAGIC) cursor.fail('a GGUF file', `a file that begins with 0x${magic.toString(16).padStart(8, '0')}`);
  const version = cursor.u32('version');
  if (version === 2 || version === 3) return version;
  const isBigEndian = version > 0 && version % 2 ** 24 === 0;
  return cursor.fail('GGUF version 2 or 3', isBigEndian ? 'a file for big-endian machines' : `version ${version}`);
}

function readName(cursor: GgufCursor, what: string, known: ReadonlyMap<string, unknown>): string {
  const length = cursor.count(`length of a ${what}`, 1);
  if (length === 0 || length > MAX_KEY_BYTES) cursor.fail(`a ${what} of 1 to ${MAX_KEY_BYTES} bytes`, `${length}`);
  const name = cursor.bytes(length, what).toString('utf8');
  if (known.has(name)) cursor.fail(`each ${what} once`, `${quote(name)} again`);
  return name;
}

function readType(cursor: GgufCursor, key: string): (typeof VALUE_TYPES)[number] {
  const code = cursor.u32(`type of ${key}`);
  return VALUE_TYPES[code] ?? cursor.fail(`a value type from 0 to ${VALUE_TYPES.length - 1} for ${key}`, `${code}`);
}

function readValue(cursor: GgufCursor, key: string): GgufValue {
  const type = readType(cursor, key);
  if (type !== 'array') return { type, value: readScalar(cursor, type, key) };
  const items = readType(cursor, key);
  if (items === 'array') return cursor.fail(`plain values in ${key}`, 'an array of arrays');
  if (items === 'string') {
    const count = cursor.count(`length of ${key}`, 8);
    const values: string[] = [];
    for (let i = 0; i < count; i++) values.push(cursor.text(key));
    return { type, items, values };
  }
  return { type, items, values: readNumbers(cursor, items, key) };
}

function readScalar(cursor: GgufCursor, type: ScalarType, key: string): number | bigint | boolean | string {
  if (type === 'string') return cursor.text(key);
  const list = viewNumbers(cursor.bytes(LIST_TYPES[type].BYTES_PER_ELEMENT, key), type);
  const [value = 0] = list;
  if (type === 'bool') return value !== 0;
  const number = Number(value);
  return typeof value === 'bigint' && Number.isSafeInteger(number) ? number : value;
}

interface NumberListType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): NumberList;
}

const LIST_TYPES: { readonly [K in Exclude<ScalarType, 'string'>]: NumberListType } = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  bool: Uint8Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
};

function readNumbers(cursor: GgufCursor, items: Exclude<ScalarType, 'string'>, key: string): NumberList {
  const bytes = LIST_TYPES[items].BYTES_PER_ELEMENT;
  return viewNumbers(cursor.bytes(bytes * cursor.count(`length of ${key}`, bytes), key), items);
}

function viewNumbers(bytes: Uint8Array, items: Exclude<ScalarType, 'string'>): NumberList {
  return new LIST_TYPES[items](Uint8Array.from(bytes).buffer);
}

interface TensorInfo {
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** From the start of the data. */
  readonly offset: bigint;
}

function readTensorInfo(cursor: GgufCursor, name: string, where: string): TensorInfo {
  const rank = cursor.u32(`dimensions of ${name}`);
  if (rank < 1 || rank > MAX_DIMENSIONS) cursor.fail(`1 to ${MAX_DIMENSIONS} dimensions of ${name}`, `${rank}`);
  const sizes = Array.from({ length: rank }, () => cursor.u64(`shape of ${name}`));
  const code = cursor.u32(`type of ${name}`);
  const offset = cursor.u64(`offset of ${name}`);
  const type = TENSOR_TYPE_BY_ID.get(code);
  if (!type) {
    throw new LlavaError(
      `${where}: tensor ${quote(name)}: expected a type of ${[...TENSOR_TYPE_TABLE.keys()].join(', ')}, got number ${code}`,
    );
  }
  return { type, shape: sizes.map(Number).reverse(), byteLength: byteLengthOf(type, sizes, name, where), offset };
}

/** Bytes of a tensor; a row is whole blocks. */
function byteLengthOf(type: TensorType, sizes: readonly bigint[], name: string, where: string): number {
  const { blockSize, blockBytes } = type;
  const blockCount = sizes.reduce((product, size) => product * size, 1n) / BigInt(blockSize);
  const bytes = blockCount * BigInt(blockBytes);
  const fits = sizes[0]! % BigInt(blockSize) === 0n && bytes > 0n && bytes <= Number.MAX_SAFE_INTEGER;
  if (fits) return Number(bytes);
  const rows = blockSize === 1 ? 'elements' : `rows of a multiple of ${blockSize} elements`;
  throw new LlavaError(`${where}: tensor ${quote(name)}: expected ${rows} for ${type.name}, got dimensions [${sizes}]`);
}

function alignmentOf(metadata: GgufMetadata, where: string): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const alignment = entry.type === 'u32' ? Number(entry.value) : 0;
  const isPowerOfTwo = alignment > 0 && (alignment & (alignment - 1)) === 0;
  if (isPowerOfTwo && alignment <= 2 ** 20) return alignment;
  const got = entry.type === 'u32' ? `${alignment}` : `a value of type ${entry.type}`;
  throw new LlavaError(`${where}: expected general.alignment to be a power of two up to 2^20, got ${got}`);
}

interface DataPlace {
  readonly dataStart: number;
  readonly alignment: number;
  /** Bytes of the file. */
  readonly size: number;
  readonly where: string;
}

/** Checks that tensors lie in the file, aligned, and do not overlap. */
function placeTensors(infos: ReadonlyMap<string, TensorInfo>, place: DataPlace): GgufTensor[] {
  const { dataStart, alignment, size, where } = place;
  const tensors = Array.from(infos, ([name, { type, shape, byteLength, offset }]): GgufTensor => {
    const begin = BigInt(dataStart) + offset;
    const inside = begin + BigInt(byteLength) <= BigInt(size);
    if (inside && offset % BigInt(alignment) === 0n) {
      return { name, type, shape, offset: Number(begin), byteLength };
    }
    const expected = inside ? `an offset that is a multiple of ${alignment}` : `${byteLength} bytes in the file`;
    const got = inside ? `${offset}` : `offset ${begin} of a file of ${size} bytes`;
    throw new LlavaError(`${where}: tensor ${quote(name)}: expected ${expected}, got ${got}`);
  });
  const ordered = [...tensors].sort((a, b) => a.offset - b.offset);
  ordered.forEach(({ name, offset }, i) => {
    const previous = ordered[i - 1];
    const end = previous ? previous.offset + previous.byteLength : dataStart;
    if (offset >= end) return;
    throw new LlavaError(`${where}: tensor ${quote(name)}: expected data from ${end} on, got ${offset} (overlap)`);
  });
  return tensors;
}
