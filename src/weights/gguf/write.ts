/**
 * @file Writes GGUF files, version 3: the header, then one tensor after another, so that one is in memory at a time.
 */

import {
  assert,
  castFloat,
  fromF16,
  type HostTensor,
  LlavaError,
  sizeOf,
  tensorBytes,
  throwIfAborted,
  toFloat32,
} from '../../core/index.ts';
import { writeFileAtomic } from '../atomic.ts';
import { quantise, type WritableQuant } from './quantise.ts';
import {
  DEFAULT_ALIGNMENT,
  type GgufMetadata,
  type GgufValue,
  MAGIC,
  TENSOR_TYPE_TABLE,
  VALUE_TYPES,
} from './types.ts';

/** Element types that can be written. */
export type WritableType = 'F32' | 'F16' | WritableQuant;

/** A tensor to be written. `read` is called once, when its turn comes; rows are whole blocks of `type`. */
export interface GgufTensorSource {
  readonly name: string;
  readonly type: WritableType;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly read: () => HostTensor | Promise<HostTensor>;
}

/** How a file is written. */
export interface WriteGgufOptions {
  /** Called after each tensor with its bytes in the file. */
  readonly onTensor?: (bytes: number) => void;
  /** Gives up before the next tensor; nothing is left then. */
  readonly signal?: AbortSignal;
}

/** Bytes of a tensor in the file. */
export function writtenBytes({ type, shape }: Pick<GgufTensorSource, 'type' | 'shape'>): number {
  const { blockSize, blockBytes } = TENSOR_TYPE_TABLE.get(type)!;
  return (sizeOf(shape) / blockSize) * blockBytes;
}

/**
 * Writes or replaces a file, all or nothing.
 * @throws LlavaError when the disk is full or the place is not writable, and for values that an f16 cannot hold
 */
export async function writeGguf(
  path: string,
  metadata: GgufMetadata,
  tensors: readonly GgufTensorSource[],
  { onTensor, signal }: WriteGgufOptions = {},
): Promise<void> {
  const header = buildGgufHeader(metadata, tensors);
  await writeFileAtomic(path, async write => {
    await write(header);
    for (const source of tensors) {
      throwIfAborted(signal, path);
      const bytes = encode(await source.read(), source);
      await write(bytes);
      await write(new Uint8Array(paddingAfter(bytes.length)));
      onTensor?.(bytes.length);
    }
  });
}

const paddingAfter = (bytes: number): number => (DEFAULT_ALIGNMENT - (bytes % DEFAULT_ALIGNMENT)) % DEFAULT_ALIGNMENT;

function encode(tensor: HostTensor, source: GgufTensorSource): Uint8Array {
  const { name, type, shape } = source;
  assert(String(tensor.shape) === String(shape), `tensor "${name}" is not what was declared`);
  if (type === 'F32') return tensorBytes(castFloat(tensor, 'f32'));
  if (type !== 'F16') return quantise(type, toFloat32(tensor));
  const halves = castFloat(tensor, 'f16');
  if (tensor.dtype !== 'f16') checkRange(tensor, halves, name);
  return tensorBytes(halves);
}

/** Throws when a finite value has become infinite. */
function checkRange(tensor: HostTensor, halves: HostTensor, name: string): void {
  const bits = halves.data as Uint16Array;
  const at = bits.findIndex(value => (value & 0x7fff) === 0x7c00);
  if (at < 0) return;
  const value = toFloat32(tensor)[at]!;
  if (!Number.isFinite(value)) return;
  throw new LlavaError(
    `tensor "${name}": expected values up to 65504 for f16, got ${value} (as f16 ${fromF16(bits[at]!)})`,
  );
}

/** The header with the padding that follows it. */
export function buildGgufHeader(metadata: GgufMetadata, tensors: readonly GgufTensorSource[]): Uint8Array {
  const parts: Uint8Array[] = [u32(MAGIC), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), ...valueParts(value));
  let offset = 0;
  for (const source of tensors) {
    const { name, type, shape } = source;
    const dimensions = [...shape].reverse();
    parts.push(
      text(name),
      u32(shape.length),
      ...dimensions.map(u64),
      u32(TENSOR_TYPE_TABLE.get(type)!.id),
      u64(offset),
    );
    const bytes = writtenBytes(source);
    assert(Number.isInteger(bytes) && shape.length > 0, `tensor "${name}" has no whole blocks of ${type}`);
    offset += bytes + paddingAfter(bytes);
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, new Uint8Array(paddingAfter(header.length))]);
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

const typeCode = (type: GgufValue['type']): Uint8Array => u32(VALUE_TYPES.indexOf(type));

function valueParts(entry: GgufValue): Uint8Array[] {
  if (entry.type !== 'array') return [typeCode(entry.type), scalar(entry)];
  const head = [typeCode('array'), typeCode(entry.items), u64(entry.values.length)];
  if (entry.items === 'string') return [...head, Buffer.concat(entry.values.map(text))];
  const { buffer, byteOffset, byteLength } = entry.values;
  return [...head, new Uint8Array(buffer, byteOffset, byteLength)];
}

type ScalarEntry = Exclude<GgufValue, { type: 'array' }>;

function scalar({ type, value }: ScalarEntry): Uint8Array {
  if (type === 'string') return text(String(value));
  if (type === 'u64' || type === 'i64') return u64(BigInt.asUintN(64, BigInt(value as number | bigint)));
  const bytes = Buffer.alloc(8);
  const number = Number(value);
  const size = {
    u8: () => bytes.writeUInt8(number),
    bool: () => bytes.writeUInt8(number),
    i8: () => bytes.writeInt8(number),
    u16: () => bytes.writeUInt16LE(number),
    i16: () => bytes.writeInt16LE(number),
    u32: () => bytes.writeUInt32LE(number),
    i32: () => bytes.writeInt32LE(number),
    f32: () => bytes.writeFloatLE(number),
    f64: () => bytes.writeDoubleLE(number),
  }[type]();
  return bytes.subarray(0, size);
}
