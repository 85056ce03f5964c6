/**
 * @file Image features kept on disk, so that a picture that was asked about before needs no vision tower in a later process. Each
 * entry is one file, named by what it holds: the tower with its weights, and the picture. Entries are written whole or not at
 * all and carry a checksum: what is damaged or foreign is not used, and overwritten. Several processes may share a folder.
 */

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, lstat, readdir, readFile, rm, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cacheFolder, LlavaError, sizeOf, tensorBytes, viewBytes } from '../core/index.ts';
import { emitOnnx, type Graph, ONNX_DTYPE } from '../graph/index.ts';
import { runtimeInfo } from '../runtime/index.ts';
import {
  fileError,
  fileIdentity,
  isStored,
  makeFolders,
  readTensor,
  type WeightEntry,
  writeFileAtomic,
} from '../weights/index.ts';
import type { ImageFeatures } from './sequence.ts';

/** Bytes of all entries together; the least recently used go first. */
const MAX_BYTES = 2 * 2 ** 30;
const MAGIC = Buffer.from('llavaIF1');
/** Magic, rows, width, SHA-256 of the rest and of what the entry is for. */
const HEADER_BYTES = 8 + 4 + 4 + 32;
const ENTRY = /^[0-9a-f]{64}\.features$/;
const TEMPORARY = /^\.[0-9a-f]{64}\.features\.tmp-/;
/** A temporary file of this age was left by a process that was killed. */
const STALE_MS = 3_600_000;

/** A folder of features made by one vision tower. */
export class ImageCache {
  readonly #folder: string;
  readonly #identity: string;
  readonly #maxBytes: number;

  private constructor(folder: string, identity: string, maxBytes: number) {
    this.#folder = folder;
    this.#identity = identity;
    this.#maxBytes = maxBytes;
  }

  /**
   * The cache in `folder`, made when missing.
   * @param folder true for the library's own
   * @param identity of the tower and its weights, see {@link towerIdentity}
   * @throws LlavaError when it is no folder, or not writable
   */
  static async open(folder: string | true, identity: string, maxBytes = MAX_BYTES): Promise<ImageCache> {
    const path = folder === true ? join(cacheFolder(), 'images') : resolve(folder);
    try {
      await makeFolders(path);
      await readdir(path);
      await access(path, constants.W_OK);
    } catch (error) {
      throw fileError(path, 'a folder to keep image features in', error);
    }
    return new ImageCache(path, identity, maxBytes);
  }

  /** The features of the picture `key`, unless there are none, or none that are whole. */
  async get(key: string, rows: number): Promise<ImageFeatures | undefined> {
    const file = this.#file(key);
    try {
      const found = await lstat(file);
      if (!found.isFile() || found.size > this.#maxBytes) return undefined;
      const data = this.#parse(await readFile(file), key, rows);
      const now = new Date();
      await utimes(file, now, now);
      return data && { key, rows, data };
    } catch {
      return undefined; // gone, or not ours to read
    }
  }

  /** Keeps features. Where that fails, for want of room or permission, the picture is computed again next time. */
  async put({ key, rows, data }: ImageFeatures): Promise<void> {
    try {
      const head = Buffer.alloc(HEADER_BYTES);
      MAGIC.copy(head);
      head.writeUInt32LE(rows, 8);
      head.writeUInt32LE(data.length / rows, 12);
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      this.#digest(key, bytes).copy(head, 16);
      await writeFileAtomic(this.#file(key), async write => {
        await write(head);
        await write(bytes);
      });
      await this.#evict();
    } catch (error) {
      if (!(error instanceof LlavaError)) throw error;
    }
  }

  #file(key: string): string {
    const name = createHash('sha256').update(`${this.#identity} ${key}`).digest('hex');
    return join(this.#folder, `${name}.features`);
  }

  #digest(key: string, bytes: Uint8Array): Buffer {
    return createHash('sha256').update(`${this.#identity} ${key} `).update(bytes).digest();
  }

  #parse(file: Buffer, key: string, rows: number): Float32Array | undefined {
    if (file.length < HEADER_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    const bytes = file.subarray(HEADER_BYTES);
    const fits = file.readUInt32LE(8) === rows && bytes.length === 4 * rows * file.readUInt32LE(12);
    if (!fits || !this.#digest(key, bytes).equals(file.subarray(16, HEADER_BYTES))) return undefined;
    return viewBytes('f32', Uint8Array.from(bytes)) as Float32Array;
  }

  /** Removes entries, oldest use first, until the rest fits; and what killed processes left. */
  async #evict(): Promise<void> {
    const names = (await readdir(this.#folder)).filter(name => ENTRY.test(name) || TEMPORARY.test(name));
    const entries = (await Promise.all(names.map(name => this.#stat(name)))).filter(entry => entry !== undefined);
    const isStale = (entry: { name: string; usedMs: number }) =>
      TEMPORARY.test(entry.name) && Date.now() - entry.usedMs > STALE_MS;
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const entry of entries.sort((a, b) => a.usedMs - b.usedMs)) {
      if (!isStale(entry) && (bytes <= this.#maxBytes || !ENTRY.test(entry.name))) continue;
      await rm(join(this.#folder, entry.name), { force: true }).catch(() => {});
      bytes -= entry.bytes;
    }
  }

  async #stat(name: string): Promise<{ name: string; bytes: number; usedMs: number } | undefined> {
    const found = await lstat(join(this.#folder, name)).catch(() => undefined); // another process may have removed it
    return found?.isFile() ? { name, bytes: found.size, usedMs: found.mtimeMs } : undefined;
  }
}

/**
 * Names what a vision tower computes: its graph and its weights. Those that are stored count by their file, as it is now, and
 * place; those that are computed by what they hold.
 * @param weights by our names, `loaded` the same as the runtime gets them
 */
export function towerIdentity(
  graph: Graph,
  weights: ReadonlyMap<string, WeightEntry>,
  loaded: ReadonlyMap<string, WeightEntry>,
): string {
  const hash = createHash('sha256').update(runtimeInfo().version);
  const place = { location: '', offset: 0, byteLength: 0 };
  hash.update(emitOnnx(graph, ({ dtype }) => ({ kind: 'beside', dtype, ...place })).bytes);
  for (const { name, shape } of graph.params) {
    const entry = weights.get(name)!;
    hash.update(`${name} ${ONNX_DTYPE[entry.dtype]} ${sizeOf(shape as readonly number[])} `);
    if (isStored(entry)) hash.update(`${fileIdentity(entry.file)} ${entry.offset} `);
    else hash.update(tensorBytes(readTensor(loaded.get(name)!)));
  }
  return hash.digest('hex');
}
