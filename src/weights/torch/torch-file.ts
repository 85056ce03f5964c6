/**
 * @file Files of `torch.save` that hold tensors by name, `pytorch_model.bin` and alike, in both formats: the ZIP archive of
 * torch 1.6 and later (`NAME/data.pkl`, `NAME/data/KEY`), and the legacy stream of five pickles with the storages behind
 * them. Opening reads the pickles and the directory only. A tensor that is laid out row by row is an entry to be mapped;
 * a transposed or sliced view, or one in a deflated record, is computed.
 */

import { resolve } from 'node:path';
import { dtypeSize, type HostTensor, hostTensor, LlavaError, type TypedArray, viewBytes } from '../../core/index.ts';
import { type ByteSource, fileSource, memorySource } from '../byte-source.ts';
import { quoteName, withFile } from '../files.ts';
import type { WeightEntry } from '../tensor-entry.ts';
import { ByteReader } from './byte-reader.ts';
import { kindOf, MAX_PICKLE_BYTES, type PickleHooks, readPickle } from './pickle.ts';
import { TORCH_HOOKS, type TorchStorage, TorchTensor } from './rebuild.ts';
import { readZipDirectory, readZipRecord, ZIP_MAGIC, type ZipRecord } from './zip.ts';

const EXPECTED = 'a torch file of tensors';
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;
const PICKLE_START = 0x80;
/** Largest deflated record that is unpacked. Torch itself never deflates. */
const MAX_INFLATED_BYTES = 2 ** 30;
const MAX_BYTEORDER_BYTES = 16;

/** Where the bytes of a storage lie. */
type Place = Pick<ZipRecord, 'name' | 'method' | 'offset' | 'storedBytes' | 'bytes'>;

/**
 * The tensors of a file by name; runs nothing that the file says.
 * @throws LlavaError when the file cannot be read, holds anything but tensors by name, or lies about them
 */
export function openTorch(path: string): ReadonlyMap<string, WeightEntry> {
  const file = resolve(path);
  return withFile(file, EXPECTED, open => parseTorch(fileSource(open), file));
}

/** {@link openTorch} on bytes of any origin; `file` is their place on disk. */
export function parseTorch(source: ByteSource, file: string): ReadonlyMap<string, WeightEntry> {
  const magic = source.size < 4 ? 0 : new ByteReader(source, file).unsigned(4);
  if (magic === ZIP_MAGIC) return parseArchive(source, file);
  if ((magic & 0xff) === PICKLE_START) return parseLegacy(source, file);
  throw new LlavaError(`${file}: expected ${EXPECTED}, got neither a ZIP file nor a pickle`);
}

function parseArchive(source: ByteSource, file: string): ReadonlyMap<string, WeightEntry> {
  const records = readZipDirectory(source, file);
  const roots = [...records.keys()].flatMap(name => /^([^/]+)\/data\.pkl$/.exec(name)?.[1] ?? []);
  if (roots.length !== 1) throw new LlavaError(`${file}: expected ${EXPECTED} with one data.pkl, got ${roots.length}`);
  const content = (name: string, limit: number): Uint8Array | undefined => {
    const record = records.get(`${roots[0]}/${name}`);
    return record && readZipRecord(source, record, file, limit);
  };
  const order = Buffer.from(content('byteorder', MAX_BYTEORDER_BYTES) ?? 'little').toString('latin1');
  if (order !== 'little') throw new LlavaError(`${file}: expected little-endian tensors, got ${JSON.stringify(order)}`);
  const pickle = content('data.pkl', MAX_PICKLE_BYTES)!;
  const root = readPickle(new ByteReader(memorySource(pickle), `${file}: data.pkl`), TORCH_HOOKS);
  return namedEntries(root, file, ({ key }) => records.get(`${roots[0]}/data/${key}`));
}

/** Magic number, protocol, system, the object, keys of the storages; then each storage: its length (u64), its elements. */
function parseLegacy(source: ByteSource, file: string): ReadonlyMap<string, WeightEntry> {
  const reader = new ByteReader(source, file, { maxBytes: MAX_PICKLE_BYTES });
  const storages = new Map<string, TorchStorage>();
  checkLegacy(reader);
  const root = readPickle(reader, collecting(storages));
  const keys = readPickle(reader, TORCH_HOOKS);
  if (!Array.isArray(keys)) throw new LlavaError(`${file}: expected a list of storages, got ${kindOf(keys)}`);
  const places = new Map<string, Place>();
  let offset = reader.position;
  for (const key of keys as unknown[]) {
    const storage = typeof key === 'string' && !places.has(key) ? storages.get(key) : undefined;
    if (!storage) throw new LlavaError(`${file}: expected each storage of its tensors once, got ${kindOf(key)}`);
    const bytes = new ByteReader(source, file, { start: offset }).unsigned(8) * sizeOfElement(storage);
    offset += 8;
    if (bytes > source.size - offset) {
      throw new LlavaError(`${file}: expected ${bytes} bytes of storage ${kindOf(key)}, got ${source.size - offset}`);
    }
    places.set(storage.key, { name: storage.key, method: 'stored', offset, storedBytes: bytes, bytes });
    offset += bytes;
  }
  return namedEntries(root, file, ({ key }) => places.get(key));
}

function checkLegacy(reader: ByteReader): void {
  const [magic, protocol, system] = Array.from({ length: 3 }, () => readPickle(reader, TORCH_HOOKS));
  if (magic !== LEGACY_MAGIC || protocol !== LEGACY_PROTOCOL) {
    const got = `${kindOf(magic)}, ${kindOf(protocol)}`;
    throw new LlavaError(`${reader.where}: expected torch's magic number and protocol ${LEGACY_PROTOCOL}, got ${got}`);
  }
  const isLittle = system instanceof Map && system.get('little_endian') === true;
  if (!isLittle) throw new LlavaError(`${reader.where}: expected little-endian tensors, got others`);
}

/** Hooks that also note the storages, whose element types the stream of storages does not repeat. */
function collecting(storages: Map<string, TorchStorage>): PickleHooks {
  return {
    ...TORCH_HOOKS,
    persistent(id) {
      const storage = TORCH_HOOKS.persistent(id) as TorchStorage;
      if (!storages.has(storage.key)) storages.set(storage.key, storage);
      return storage;
    },
  };
}

function namedEntries(
  root: unknown,
  file: string,
  placeOf: (storage: TorchStorage) => Place | undefined,
): ReadonlyMap<string, WeightEntry> {
  if (!(root instanceof Map)) throw new LlavaError(`${file}: expected a dict of tensors, got ${kindOf(root)}`);
  const entries = new Map<string, WeightEntry>();
  for (const [name, value] of root as Map<unknown, unknown>) {
    if (typeof name !== 'string' || !(value instanceof TorchTensor)) {
      throw new LlavaError(`${file}: expected a tensor for each name, got ${kindOf(value)} for ${kindOf(name)}`);
    }
    entries.set(name, makeEntry(name, value, file, placeOf(value.storage)));
  }
  return entries;
}

function makeEntry(name: string, tensor: TorchTensor, file: string, place: Place | undefined): WeightEntry {
  const { storage, dtype, shape } = tensor;
  const size = dtypeSize(dtype);
  if (!place)
    throw new LlavaError(`${file}: expected storage ${quoteName(storage.key)} of tensor ${quoteName(name)}, got none`);
  const needed = (storage.start + storage.elements) * size;
  if (needed > place.bytes) {
    throw new LlavaError(`${file}: expected ${needed} bytes of storage ${quoteName(storage.key)}, got ${place.bytes}`);
  }
  const begin = (storage.start + tensor.offset) * size;
  const byteLength = shape.reduce((product, dim) => product * dim, size);
  if (place.method === 'stored' && isContiguous(tensor)) {
    return { name, dtype, shape, file, offset: place.offset + begin, byteLength };
  }
  return { name, dtype, shape, file, storedBytes: byteLength, compute: () => computeView(tensor, file, place, begin) };
}

/** Row by row without gaps; the strides of sizes 1, and of empty tensors, do not matter. */
function isContiguous({ shape, strides }: TorchTensor): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

function computeView(tensor: TorchTensor, file: string, place: Place, begin: number): HostTensor {
  const { dtype, shape, strides } = tensor;
  const out = hostTensor(dtype, shape);
  const span = shape.reduce((sum, dim, i) => sum + (dim - 1) * strides[i]!, 1) * dtypeSize(dtype);
  const bytes = withFile(file, EXPECTED, open => {
    if (place.method === 'stored') return fileSource(open).read(place.offset + begin, span);
    return readZipRecord(fileSource(open), place, file, MAX_INFLATED_BYTES).subarray(begin, begin + span);
  });
  gather(viewBytes(dtype, bytes), tensor, out.data);
  return out;
}

/** Copies the elements of a view in the order of its indices, which run like the digits of an odometer. */
function gather(elements: TypedArray, { shape, strides }: TorchTensor, target: TypedArray): void {
  const [from, to] = [elements, target] as unknown as [Float64Array, Float64Array];
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]!;
      index[d]!++;
      if (index[d]! < shape[d]!) break;
      at -= strides[d]! * shape[d]!;
      index[d] = 0;
    }
  }
}

function sizeOfElement({ dtype }: TorchStorage): number {
  return dtype ? dtypeSize(dtype) : 1;
}
