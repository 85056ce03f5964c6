/**
 * @file Folders of weights as Hugging Face publishes them: one `model.safetensors`, or shards named by
 * `model.safetensors.index.json` (`weight_map`: tensor → file, `metadata.total_size`: bytes of all tensors); in older
 * ones the same with files of torch, `pytorch_model.bin`. We write the former only.
 */

import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type HostTensor, LlavaError, nearestName } from '../core/index.ts';
import { recoverFolder, writeFileAtomic } from './atomic.ts';
import { fileError, listNames, makeFolders } from './files.ts';
import { readJson } from './json.ts';
import {
  holdsSafetensors,
  openSafetensors,
  type SafetensorsFile,
  type TensorSource,
  writeSafetensors,
} from './safetensors.ts';
import { byteLengthOf, type Metadata } from './safetensors-header.ts';
import { readTensor, type WeightEntry } from './tensor-entry.ts';
import { openTorch } from './torch/torch-file.ts';

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';

/** A kind of weight file: its name when it is one, of the index when there are shards, and how one is opened. */
interface Format {
  readonly single: string;
  readonly index: string;
  readonly open: (path: string) => Pick<SafetensorsFile, 'metadata'> & Pick<WeightStore, 'entries'>;
}

/** In order of preference. */
const FORMATS: readonly Format[] = [
  { single: SINGLE_FILE, index: INDEX_FILE, open: openSafetensors },
  {
    single: 'pytorch_model.bin',
    index: 'pytorch_model.bin.index.json',
    open: path => ({ entries: openTorch(path), metadata: {} }),
  },
];

const ANY_WEIGHT_FILE = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;

/** All weights of a folder, by name. `metadata` is that of the first file. */
export interface WeightStore {
  readonly folder: string;
  readonly entries: ReadonlyMap<string, WeightEntry>;
  readonly metadata: Metadata;
  has(name: string): boolean;
  /** Copies or makes one tensor. Throws LlavaError for a name that is not there. */
  read(name: string): HostTensor;
}

/**
 * Opens the weights of a checkpoint folder; reads headers only. Like Python `transformers` it prefers the single file,
 * and keeps tensors that lie in a shard although the index does not list them.
 * @throws LlavaError when there are none, or when the index and the shards disagree (everything that is missing is named)
 */
export function openWeights(folder: string): WeightStore {
  recoverFolder(folder);
  const root = resolve(folder);
  for (const format of FORMATS) {
    if (existsSync(join(root, format.single))) {
      const { entries, metadata } = format.open(join(root, format.single));
      return weightStore(root, entries, metadata);
    }
    if (existsSync(join(root, format.index))) return openShards(root, format);
  }
  const names = FORMATS.map(({ single, index }) => `${single} or ${index}`).join(', ');
  throw new LlavaError(`${root}: expected ${names}, got ${existsSync(root) ? 'none of them' : 'no such folder'}`);
}

/** True when a folder has weight files of a kind that {@link openWeights} opens. */
export function hasWeights(folder: string): boolean {
  recoverFolder(folder);
  return FORMATS.some(({ single, index }) => [single, index].some(name => existsSync(join(folder, name))));
}

/** The tensors as a store; `folder` names it in errors. */
export function weightStore(
  folder: string,
  entries: ReadonlyMap<string, WeightEntry>,
  metadata: Metadata = {},
): WeightStore {
  const read = (name: string): HostTensor => {
    const entry = entries.get(name);
    if (entry) return readTensor(entry);
    const nearest = nearestName(name, [...entries.keys()]) ?? 'no tensors at all';
    throw new LlavaError(`${folder}: expected tensor "${name}", got none of that name (nearest: ${nearest})`);
  };
  return { folder, entries, metadata, has: name => entries.has(name), read };
}

function openShards(root: string, format: Format): WeightStore {
  const path = join(root, format.index);
  const shardOf = parseWeightIndex(readJson(path, 'an index of weights'), path);
  const names = [...new Set(shardOf.values())].sort();
  const missing = names.filter(name => !existsSync(join(root, name)));
  if (missing.length > 0) throw new LlavaError(`${path}: expected the shards it names, got no ${listNames(missing)}`);
  const shards = new Map(names.map(name => [name, format.open(join(root, name))]));
  const entries = new Map([...shards.values()].flatMap(shard => [...shard.entries]));
  const lost: string[] = [];
  for (const [tensor, shard] of shardOf) {
    const entry = shards.get(shard)?.entries.get(tensor);
    if (entry) entries.set(tensor, entry);
    else lost.push(`${tensor} in ${shard}`);
  }
  if (lost.length > 0) throw new LlavaError(`${path}: expected the tensors it names, got no ${listNames(lost)}`);
  return weightStore(root, entries, shards.values().next().value?.metadata ?? {});
}

/**
 * Tensor → shard file name, from the parsed index. Shards must lie in the folder itself: an index from a stranger must not
 * reach other files.
 */
export function parseWeightIndex(index: unknown, where: string): ReadonlyMap<string, string> {
  const weightMap = isObject(index) ? index.weight_map : undefined;
  if (!isObject(weightMap)) throw new LlavaError(`${where}: expected an object "weight_map", got none`);
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !isPlainFileName(shard)) {
      throw new LlavaError(
        `${where}: expected a file name as shard of ${JSON.stringify(tensor)}, got ${JSON.stringify(shard)}`,
      );
    }
    shardOf.set(tensor, shard);
  }
  return shardOf;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** No folder, drive, `..` or control character. */
function isPlainFileName(name: string): boolean {
  return /^[^/\\:\p{Cc}]+$/u.test(name) && name !== '.' && name !== '..';
}

/** How {@link saveWeights} writes. */
export interface SaveWeightsOptions {
  /** Most bytes of tensor data in a shard; a larger tensor gets one of its own. Default 5e9. */
  readonly maxShardBytes?: number;
  /** Default `{ format: 'pt' }`. */
  readonly metadata?: Metadata;
  /** Keeps the shards that an interrupted save of the same tensors has finished. Default false: writes all. */
  readonly resume?: boolean;
  /** Called with each shard that `resume` keeps. */
  readonly onKept?: (tensors: readonly TensorSource[]) => void;
}

/**
 * Writes weights into an existing or new folder, in shards, and removes weight files of an earlier save. File by file, not
 * as a whole: to replace a checkpoint, call it within `saveFolderAtomic`. The index comes last.
 * @throws LlavaError on a full disk or a place that is not writable
 */
export async function saveWeights(
  folder: string,
  tensors: Iterable<TensorSource>,
  options: SaveWeightsOptions = {},
): Promise<void> {
  const { maxShardBytes, metadata } = { maxShardBytes: 5e9, metadata: { format: 'pt' }, ...options };
  const shards = planShards(tensors, maxShardBytes);
  const names = shards.map((_, i) => shardName(i, shards.length));
  try {
    await makeFolders(resolve(folder));
    for (const [i, shard] of shards.entries()) {
      const file = join(folder, names[i]!);
      if (options.resume && holdsSafetensors(file, shard, { metadata })) options.onKept?.(shard);
      else await writeSafetensors(file, shard, { metadata });
    }
    if (shards.length > 1) await writeFileAtomic(join(folder, INDEX_FILE), buildIndex(shards, names));
    await removeOthers(folder, shards.length > 1 ? [...names, INDEX_FILE] : names);
  } catch (error) {
    throw fileError(resolve(folder), 'to save weights', error);
  }
}

/** Fills shards in the order given; at least one, which may be empty. */
function planShards(tensors: Iterable<TensorSource>, maxShardBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  let used = 0;
  for (const tensor of tensors) {
    const bytes = byteLengthOf(tensor);
    if (used > 0 && used + bytes > maxShardBytes) {
      shards.push([]);
      used = 0;
    }
    shards.at(-1)!.push(tensor);
    used += bytes;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return SINGLE_FILE;
  const digits = (value: number): string => String(value).padStart(5, '0');
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

function buildIndex(shards: readonly TensorSource[][], names: readonly string[]): string {
  const files = shards.flatMap((shard, i) => shard.map(tensor => [tensor.name, names[i]!] as const));
  const totalSize = shards.flat().reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  const weightMap = Object.fromEntries(files.sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ metadata: { total_size: totalSize }, weight_map: weightMap }, null, 2)}\n`;
}

async function removeOthers(folder: string, keep: readonly string[]): Promise<void> {
  for (const name of await readdir(folder)) {
    if (ANY_WEIGHT_FILE.test(name) && !keep.includes(name)) await rm(join(folder, name));
  }
}
