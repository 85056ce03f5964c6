/**
 * @file The header of the safetensors format: 8 bytes of length (little-endian), then JSON that maps each tensor's name
 * to its dtype, shape and byte range, then the data. Source: the format section of the README of
 * huggingface/safetensors. Headers come from strangers, so the JSON is read with a cursor that knows the grammar
 * (memory stays proportional to the header), and everything it says is checked before anything is believed.
 *
 * Stricter than the Rust reader, which accepts them: names given twice, unknown fields of a tensor, white space before
 * the header, `null` as metadata, sizes of 2^53 and more, and dtypes of fewer than 8 bits or 8-bit floats.
 */

import { assert, type DType, dtypeSize, LlavaError, sizeOf } from '../core/index.ts';
import { decodeUtf8, quoteName } from './files.ts';
import { JsonCursor } from './json-cursor.ts';

/** Largest header read, as in the Rust reader. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header's JSON: its length as u64. */
export const LENGTH_BYTES = 8;

/** Free text pairs of a file; `format: 'pt'` is what Python `transformers` looks for. */
export type Metadata = Readonly<Record<string, string>>;

/** A tensor of a header; its bytes are [begin, end) of the data that follows the header. */
export interface HeaderTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A valid header: its tensors, in the order of their bytes, tile the data exactly. */
export interface Header {
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: Metadata;
}

/** Half a character, which JSON can hold and UTF-8 cannot. */
const LONE_SURROGATE = /\p{Surrogate}/u;

type ShapedTensor = Pick<HeaderTensor, 'name' | 'dtype' | 'shape'>;

/** Names in files, in the order in which writers lay tensors out: widest elements first, so that all are aligned. */
const FILE_DTYPES = {
  U64: 'u64',
  I64: 'i64',
  F64: 'f64',
  F32: 'f32',
  U32: 'u32',
  I32: 'i32',
  BF16: 'bf16',
  F16: 'f16',
  U16: 'u16',
  I16: 'i16',
  I8: 'i8',
  U8: 'u8',
  BOOL: 'bool',
} as const satisfies Record<string, DType>;

const DTYPES: ReadonlyMap<string, DType> = new Map(Object.entries(FILE_DTYPES));
const FILE_NAMES: ReadonlyMap<DType, string> = new Map([...DTYPES].map(([name, dtype]) => [dtype, name]));
const LAYOUT_RANK: ReadonlyMap<DType, number> = new Map([...DTYPES.values()].map((dtype, rank) => [dtype, rank]));

/** Bytes of a tensor's data. */
export function byteLengthOf(tensor: { readonly dtype: DType; readonly shape: readonly number[] }): number {
  return sizeOf(tensor.shape) * dtypeSize(tensor.dtype);
}

/**
 * Length of the JSON.
 * @param prefix the file's first 8 bytes, or all of a shorter file
 */
export function parseHeaderLength(prefix: Uint8Array, fileBytes: number, where: string): number {
  if (fileBytes < LENGTH_BYTES) throw new LlavaError(`${where}: expected a safetensors file, got ${fileBytes} bytes`);
  const view = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES);
  const length = view.getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, fileBytes - LENGTH_BYTES);
  if (length > BigInt(limit)) {
    throw new LlavaError(`${where}: expected a safetensors header of at most ${limit} bytes, got ${length}`);
  }
  return Number(length);
}

/**
 * Reads and checks a header.
 * @param json the header's bytes without the length
 * @param dataBytes bytes that follow the header
 * @throws LlavaError that names the tensor or the place in the header
 */
export function parseHeader(json: Uint8Array, dataBytes: number, where: string): Header {
  const text = decodeUtf8(json, `${where}: header`);
  const cursor = new JsonCursor(text, offset => `${where}: header character ${offset}`);
  if (!text.startsWith('{')) cursor.fail('"{"');
  const tensors = new Map<string, HeaderTensor>();
  let metadata: Metadata | undefined;
  cursor.object('an object', name => {
    checkUnicode(cursor, name);
    if (tensors.has(name) || (name === '__metadata__' && metadata))
      cursor.fail('each name once', `${quoteName(name)} again`);
    if (name === '__metadata__') metadata = readMetadata(cursor);
    else tensors.set(name, readTensorInfo(cursor, name, where));
  });
  cursor.end();
  const ordered = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(ordered, dataBytes, where);
  return { tensors: ordered, metadata: metadata ?? {} };
}

function readMetadata(cursor: JsonCursor): Metadata {
  const pairs = new Map<string, string>();
  cursor.object('an object of strings for __metadata__', key => {
    if (pairs.has(key)) cursor.fail('each metadata key once', `${quoteName(key)} again`);
    const value = cursor.string('a string as metadata');
    checkUnicode(cursor, key + value);
    pairs.set(key, value);
  });
  return Object.fromEntries(pairs);
}

function checkUnicode(cursor: JsonCursor, text: string): void {
  if (LONE_SURROGATE.test(text)) cursor.fail('text in Unicode', quoteName(text));
}

function readTensorInfo(cursor: JsonCursor, name: string, where: string): HeaderTensor {
  let dtype: DType | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  cursor.object(`an object for tensor ${quoteName(name)}`, field => {
    if (field === 'dtype' && !dtype) dtype = readDType(cursor);
    else if (field === 'shape' && !shape) shape = readIntegers(cursor, 'shape');
    else if (field === 'data_offsets' && !offsets) offsets = readIntegers(cursor, 'data_offsets');
    else cursor.fail(`dtype, shape and data_offsets, once each, for tensor ${quoteName(name)}`, quoteName(field));
  });
  if (!dtype || !shape || !offsets) return cursor.fail(`dtype, shape and data_offsets for tensor ${quoteName(name)}`);
  return checkRange({ name, dtype, shape }, offsets, where);
}

function readDType(cursor: JsonCursor): DType {
  const name = cursor.string('a dtype');
  return DTYPES.get(name) ?? cursor.fail(`a dtype of ${[...DTYPES.keys()].join(', ')}`, quoteName(name));
}

function readIntegers(cursor: JsonCursor, field: string): number[] {
  const values: number[] = [];
  cursor.array(`an array for ${field}`, () =>
    values.push(cursor.integer(`a whole number from 0 to 2^53-1 in ${field}`)),
  );
  return values;
}

function checkRange(tensor: ShapedTensor, offsets: readonly number[], where: string): HeaderTensor {
  const [begin = Number.NaN, end = Number.NaN] = offsets;
  const bytes = checkedByteLength(tensor);
  if (offsets.length === 2 && end - begin === bytes) return { ...tensor, begin, end };
  const size = Number.isFinite(bytes) ? `${bytes}` : 'more than 2^53';
  const expected = `data_offsets [begin, end] of ${size} bytes for ${tensor.dtype} ${showList(tensor.shape)}`;
  throw new LlavaError(`${where}: tensor ${quoteName(tensor.name)}: expected ${expected}, got ${showList(offsets)}`);
}

/** Bytes of a tensor of unchecked shape; Infinity when a partial product leaves the exact integers. */
function checkedByteLength({ dtype, shape }: ShapedTensor): number {
  let bytes = dtypeSize(dtype);
  for (const dim of shape) {
    bytes *= dim;
    if (!Number.isSafeInteger(bytes)) return Number.POSITIVE_INFINITY;
  }
  return bytes;
}

/** The format demands that tensors, in the order of their bytes, cover the data with neither holes nor overlaps. */
function checkTiling(tensors: readonly HeaderTensor[], dataBytes: number, where: string): void {
  let covered = 0;
  for (const { name, begin, end } of tensors) {
    if (begin !== covered) {
      const fault = begin < covered ? 'overlap' : 'a hole';
      throw new LlavaError(
        `${where}: tensor ${quoteName(name)}: expected data from ${covered} on, got ${begin} (${fault})`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new LlavaError(`${where}: expected ${covered} bytes of data after the header, got ${dataBytes}`);
  }
}

/** The order in which the Rust writer lays tensors out: widest dtype first, then names by their UTF-8 bytes. */
export function layoutOrder<T extends ShapedTensor>(tensors: Iterable<T>): T[] {
  const keyed = Array.from(tensors, tensor => ({ tensor, key: Buffer.from(tensor.name) }));
  const rank = (tensor: T): number => LAYOUT_RANK.get(tensor.dtype)!;
  keyed.sort((a, b) => rank(a.tensor) - rank(b.tensor) || Buffer.compare(a.key, b.key));
  return keyed.map(({ tensor }) => tensor);
}

/** Length and JSON of the header for tensors in the order of their data, padded so that the data starts at 8 bytes. */
export function buildHeader(tensors: Iterable<ShapedTensor>, metadata: Metadata): Uint8Array {
  const json = describe(tensors, metadata);
  const unpadded = Buffer.byteLength(json);
  const length = Math.ceil(unpadded / LENGTH_BYTES) * LENGTH_BYTES;
  assert(length <= MAX_HEADER_BYTES, `safetensors header of ${length} bytes`);
  const bytes = Buffer.alloc(LENGTH_BYTES + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(json, LENGTH_BYTES);
  return bytes;
}

/** Written member by member: a JavaScript object would put names that look like numbers first. */
function describe(tensors: Iterable<ShapedTensor>, metadata: Metadata): string {
  const members = new Map<string, string>();
  const keys = Object.keys(metadata).sort();
  const texts = keys.map(key => [key, JSON.stringify(metadata[key])] as const);
  if (texts.length > 0) members.set('__metadata__', jsonObject(texts));
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    assert(name !== '__metadata__' && !members.has(name), `tensor name ${quoteName(name)} is taken`);
    assert(!LONE_SURROGATE.test(name), `tensor name ${quoteName(name)} is not Unicode`);
    const end = begin + byteLengthOf({ dtype, shape });
    members.set(name, JSON.stringify({ dtype: FILE_NAMES.get(dtype), shape, data_offsets: [begin, end] }));
    begin = end;
  }
  return jsonObject([...members]);
}

function jsonObject(members: readonly (readonly [name: string, json: string])[]): string {
  return `{${members.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}

function showList(values: readonly number[]): string {
  return values.length > 16 ? `[${values.slice(0, 16).join(',')},…]` : `[${values.join(',')}]`;
}
