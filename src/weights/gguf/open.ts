/**
 * @file GGUF files as checkpoints: plain tensors are entries that a runtime can map, quantised ones are computed as f32
 * when they are asked for.
 */

import { resolve } from 'node:path';
import { assert, type HostTensor, hostTensor, sizeOf } from '../../core/index.ts';
import { fileSource } from '../byte-source.ts';
import { withFile } from '../files.ts';
import type { WeightEntry } from '../tensor-entry.ts';
import { BLOCK_DECODERS } from './dequantise.ts';
import { type GgufHeader, type GgufTensor, parseGgufHeader } from './header.ts';
import { MetadataFields } from './metadata.ts';
import type { QuantisedType } from './types.ts';

/** A checked file; no descriptor stays open. */
export interface GgufFile extends GgufHeader {
  readonly path: string;
  readonly fields: MetadataFields;
  /** By the names in the file. */
  readonly entries: ReadonlyMap<string, WeightEntry>;
}

const EXPECTED = 'a GGUF file';

/**
 * Opens a file and checks its header.
 * @throws LlavaError when the file cannot be read, is not GGUF or lies about its tensors
 */
export function openGguf(path: string): GgufFile {
  const file = resolve(path);
  const header = withFile(file, EXPECTED, open => parseGgufHeader(fileSource(open), file));
  const entries = new Map(header.tensors.map(tensor => [tensor.name, tensorEntry(file, tensor)]));
  return { ...header, path: file, fields: new MetadataFields(header.metadata, file), entries };
}

function tensorEntry(file: string, tensor: GgufTensor): WeightEntry {
  const { name, type, shape, offset, byteLength } = tensor;
  if (type.dtype) return { name, dtype: type.dtype, shape, file, offset, byteLength };
  const compute = () => dequantise(readBytes(file, tensor), tensor);
  return { name, dtype: 'f32', shape, file, storedBytes: byteLength, compute };
}

function readBytes(path: string, { offset, byteLength }: GgufTensor): Uint8Array {
  return withFile(path, EXPECTED, file => fileSource(file).read(offset, byteLength));
}

/** The blocks of a tensor as f32. */
export function dequantise(bytes: Uint8Array, { type, shape }: Pick<GgufTensor, 'type' | 'shape'>): HostTensor {
  assert(type.dtype === undefined, `${type.name} is not quantised`);
  const decode = BLOCK_DECODERS[type.name as QuantisedType];
  const out = new Float32Array(sizeOf(shape));
  for (let block = 0; block * type.blockSize < out.length; block++) {
    decode(bytes, block * type.blockBytes, out, block * type.blockSize);
  }
  return hostTensor('f32', shape, out);
}
