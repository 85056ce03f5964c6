/**
 * @file One file's content into the cache: what came before is kept and the rest asked for, each byte is hashed as it
 * comes, and only content of the right size and hash gets its name.
 */

import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LlavaError, throwIfAborted } from '../../core/index.ts';
import { fileError, makeFolders } from '../files.ts';
import { type RepoCache, sizeOfFile } from './cache.ts';
import { type HubAnswer, type HubClient, TransientError } from './client.ts';
import { type FileContent, resolvePath } from './listing.ts';
import { FileLock } from './lock.ts';

/** A file to be fetched. */
export interface WantedFile extends FileContent {
  readonly path: string;
}

/** What a download needs to know beside the file. */
export interface DownloadContext {
  readonly client: HubClient;
  readonly cache: RepoCache;
  readonly commit: string;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes sure that the cache has the content of `file`. Processes that want the same one wait for each other.
 * @throws LlavaError when the content is not what the Hub said, or cannot be had, or finds no room
 */
export async function downloadBlob(file: WantedFile, context: DownloadContext): Promise<void> {
  const { cache, signal, onBytes } = context;
  const blob = cache.blob(file.etag);
  try {
    await makeFolders(dirname(blob));
    await using _lock = await FileLock.acquire(`${cache.lockFolder}/${file.etag}.llava.lock`, signal);
    if (sizeOfFile(blob) !== file.size) {
      await rm(blob, { force: true }); // of another size it is damaged
      await fetchInto(`${blob}.incomplete`, file, context);
      await rename(`${blob}.incomplete`, blob);
    }
    onBytes(file.size);
  } catch (error) {
    throw fileError(blob, `to download ${file.path}`, error);
  }
}

async function fetchInto(path: string, file: WantedFile, context: DownloadContext): Promise<void> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    const partial = new PartialFile(handle, path, file);
    await partial.readPresent(context.signal);
    context.onBytes(partial.length);
    try {
      await complete(partial, file, context);
    } catch (error) {
      if (!(error instanceof ContentError && error.wasPieced)) throw error;
      await partial.restart(); // one of the parts may have been wrong: once more from the beginning
      await complete(partial, file, context);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The bytes that came are not those that the Hub announced. */
class ContentError extends LlavaError {
  /** They came in several parts. */
  readonly wasPieced: boolean;

  constructor(message: string, wasPieced: boolean) {
    super(message);
    this.wasPieced = wasPieced;
  }
}

/** Fetches what is missing, in as many connections as it takes, and checks the whole. */
async function complete(partial: PartialFile, file: WantedFile, { client, commit, onBytes, signal }: DownloadContext) {
  const path = resolvePath(client, commit, file.path);
  let furthest = partial.length;
  await client.retrying(async progressed => {
    if (partial.length === file.size) return;
    const headers: Record<string, string> = partial.length > 0 ? { range: `bytes=${partial.length}-` } : {};
    await client.request(path, { headers, accept: [416] }, async answer => {
      if (!continues(answer, partial.length)) await partial.restart();
      partial.isFromOneAnswer = partial.length === 0;
      if (answer.response.status === 416) throw new TransientError(`${file.path}: expected the rest, got status 416`);
      for await (const piece of answer.body()) {
        throwIfAborted(signal, file.path);
        await partial.append(piece);
        onBytes(partial.length);
        if (partial.length > furthest) progressed(); // the same bytes again are no progress
        furthest = Math.max(furthest, partial.length);
      }
    });
    if (partial.length < file.size) {
      throw new TransientError(`${file.path}: expected ${file.size} bytes, got ${partial.length}`);
    }
  });
  await partial.check();
}

/** True when an answer begins where the file ends: servers may send all of it although a part was asked for. */
function continues({ response }: HubAnswer, length: number): boolean {
  if (response.status !== 206) return length === 0;
  const [, begin] = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '') ?? [];
  return Number(begin) === length;
}

/** A file that grows, and the hash of what it holds. */
class PartialFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #file: WantedFile;
  #hash: Hash;
  /** Bytes held. */
  length = 0;
  /** They came one after the other: a wrong hash is then what the Hub has, and no mistake in joining parts. */
  isFromOneAnswer = false;

  constructor(handle: FileHandle, path: string, file: WantedFile) {
    this.#handle = handle;
    this.#path = path;
    this.#file = file;
    this.#hash = startHash(file);
  }

  /** Takes over what an earlier process left. */
  async readPresent(signal: AbortSignal | undefined): Promise<void> {
    const { size } = await this.#handle.stat();
    if (size > this.#file.size) await this.restart();
    if (size === 0 || size > this.#file.size) return;
    for await (const piece of createReadStream(this.#path, { end: size - 1 })) {
      throwIfAborted(signal, this.#file.path);
      this.#hash.update(piece as Uint8Array);
      this.length += (piece as Uint8Array).length;
    }
  }

  async append(piece: Uint8Array): Promise<void> {
    const { path, size } = this.#file;
    if (this.length + piece.length > size) {
      throw new ContentError(`${path}: expected ${size} bytes, got more`, !this.isFromOneAnswer);
    }
    for (let done = 0; done < piece.length; ) {
      const { bytesWritten } = await this.#handle.write(piece, done, piece.length - done, this.length + done);
      done += bytesWritten;
    }
    this.#hash.update(piece);
    this.length += piece.length;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = startHash(this.#file);
    this.length = 0;
  }

  /** Throws away content of the wrong hash. */
  async check(): Promise<void> {
    const { path, etag } = this.#file;
    if (!isHash(etag)) return;
    const got = this.#hash.digest('hex');
    if (got === etag) return;
    const wasPieced = !this.isFromOneAnswer;
    await this.restart();
    throw new ContentError(`${path}: expected content of hash ${etag}, got ${got}`, wasPieced);
  }
}

/** sha256 in Git LFS, sha1 of a header and the content in Git itself. */
const isHash = (etag: string): boolean => /^([0-9a-f]{64}|[0-9a-f]{40})$/.test(etag);

function startHash({ etag, size }: WantedFile): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}
