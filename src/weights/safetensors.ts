/**
 * @file Files of named tensors in the safetensors format. Opening one reads its header only: an entry says where in
 * which file a tensor's bytes lie, which is all that a runtime needs to map them into memory itself. The writer streams
 * one tensor at a time and lays files out byte for byte as the Rust writer does.
 */

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { assert, type DType, type HostTensor, tensorBytes } from '../core/index.ts';
import { writeFileAtomic } from './atomic.ts';
import { type OpenFile, readFully, withFile } from './files.ts';
import {
  buildHeader,
  byteLengthOf,
  type Header,
  LENGTH_BYTES,
  layoutOrder,
  type Metadata,
  parseHeader,
  parseHeaderLength,
} from './safetensors-header.ts';
import { readTensor, type TensorEntry, type WeightEntry } from './tensor-entry.ts';

/** A checked safetensors file; no descriptor stays open. */
export interface SafetensorsFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Metadata;
}

/** A tensor to be written. `read` is called once, when its turn comes, so that one tensor is in memory at a time. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly read: () => HostTensor | Promise<HostTensor>;
}

const EXPECTED = 'a safetensors file';

/**
 * Opens a file and checks its header.
 * @throws LlavaError when the file cannot be read, is not safetensors or lies about its tensors
 */
export function openSafetensors(path: string): SafetensorsFile {
  const file = resolve(path);
  const { header, dataOffset } = withFile(file, EXPECTED, readHeader);
  const entries = new Map<string, TensorEntry>();
  for (const { name, dtype, shape, begin, end } of header.tensors) {
    entries.set(name, { name, dtype, shape, file, offset: dataOffset + begin, byteLength: end - begin });
  }
  return { path: file, entries, metadata: header.metadata };
}

function readHeader(file: OpenFile): { header: Header; dataOffset: number } {
  const prefix = new Uint8Array(Math.min(LENGTH_BYTES, file.size));
  readFully(file, prefix, 0);
  const json = new Uint8Array(parseHeaderLength(prefix, file.size, file.path));
  readFully(file, json, LENGTH_BYTES);
  const dataOffset = LENGTH_BYTES + json.length;
  return { header: parseHeader(json, file.size - dataOffset, file.path), dataOffset };
}

/** A tensor in memory as a {@link TensorSource}. */
export function tensorSource(name: string, tensor: HostTensor): TensorSource {
  return { name, dtype: tensor.dtype, shape: tensor.shape, read: () => tensor };
}

/** A tensor of a checkpoint as a {@link TensorSource}, under its own name or another. */
export function entrySource(entry: WeightEntry, name = entry.name): TensorSource {
  return { name, dtype: entry.dtype, shape: entry.shape, read: () => readTensor(entry) };
}

/**
 * Writes a file, all or nothing, with the same bytes for the same tensors in whatever order they are given.
 * @throws LlavaError when the disk is full or the place is not writable; an old file of that name is then untouched
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  { metadata = {} }: { readonly metadata?: Metadata } = {},
): Promise<void> {
  const ordered = layoutOrder(tensors);
  const header = buildHeader(ordered, metadata);
  await writeFileAtomic(path, async write => {
    await write(header);
    for (const source of ordered) await write(await readSource(source));
  });
}

/**
 * Whether `path` is a file that {@link writeSafetensors} has written of tensors of these names, types and shapes. Files are
 * renamed into place when they are whole, so that their header and length tell.
 */
export function holdsSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  { metadata = {} }: { readonly metadata?: Metadata } = {},
): boolean {
  if (!existsSync(path)) return false;
  const ordered = layoutOrder(tensors);
  const header = buildHeader(ordered, metadata);
  const dataBytes = ordered.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  return withFile(resolve(path), EXPECTED, file => {
    if (file.size !== header.length + dataBytes) return false;
    const found = new Uint8Array(header.length);
    readFully(file, found, 0);
    return Buffer.compare(found, header) === 0;
  });
}

/** The bytes of a tensor to be written, checked against what its source said. */
export async function readSource(source: TensorSource): Promise<Uint8Array> {
  const tensor = await source.read();
  const bytes = tensorBytes(tensor);
  const same = tensor.dtype === source.dtype && String(tensor.shape) === String(source.shape);
  assert(same && bytes.length === byteLengthOf(source), `tensor "${source.name}" is not what was declared`);
  return bytes;
}
