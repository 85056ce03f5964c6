/** @file From the name of a model to a folder: a path as it is, `org/name[@revision]` downloaded into the cache. */

import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { AbortedError, LlavaError, rejectUnknownKeys, throwIfAborted } from '../../core/index.ts';
import { recoverFolder } from '../atomic.ts';
import { fileError, makeFolders } from '../files.ts';
import { readJson } from '../json.ts';
import { RepoCache, sizeOfFile } from './cache.ts';
import { indexFile, LOOKED_FOR, settingsFiles, weightFiles } from './choose-files.ts';
import { DEFAULT_TIMING, HubClient, type HubTiming } from './client.ts';
import { downloadBlob, type WantedFile } from './download.ts';
import { describeFile, fetchListing, type RepoListing } from './listing.ts';
import { isCommit, parseRepoName, type RepoName } from './name.ts';
import { type HubSettings, hubSettings } from './settings.ts';

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes that are there, those of earlier attempts included. */
  readonly bytes: number;
  /** Bytes of the files that were not in the cache; grows once, when the weights are known. */
  readonly totalBytes: number;
}

/** How a model's files are found. What is not given is read from the environment, as {@link HubSettings} says. */
export interface HubOptions extends Partial<HubSettings> {
  /** False: settings and tokenizer only. Default true. */
  readonly weights?: boolean;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Gives up; what has come stays for the next time. */
  readonly signal?: AbortSignal | undefined;
  /** Patience with the server. */
  readonly timing?: Partial<HubTiming>;
}

const OPTIONS = ['endpoint', 'cacheFolder', 'token', 'offline', 'weights', 'onProgress', 'signal', 'timing'];
/** Files downloaded at once. */
const CONNECTIONS = 4;

/**
 * The folder of a model: `name` itself where that exists or can only be a path, else that of the repository.
 * @throws LlavaError that says why there is none
 */
export async function resolveModel(name: string, options: HubOptions = {}): Promise<string> {
  const repo = parseRepoName(name);
  if (repo) recoverFolder(name);
  return !repo || existsSync(name) ? name : await openSnapshot(repo, options);
}

/**
 * The folder of `org/name` or `org/name@revision` in the cache, its missing files downloaded.
 * @throws LlavaError that says why they cannot be had
 */
export async function resolveRepo(name: string, options: HubOptions = {}): Promise<string> {
  const repo = parseRepoName(name);
  if (repo) return await openSnapshot(repo, options);
  throw new LlavaError(`${name}: expected the name of a repository, org/name or org/name@revision`);
}

async function openSnapshot(repo: RepoName, options: HubOptions): Promise<string> {
  rejectUnknownKeys('options', options, OPTIONS);
  const { weights = true, signal, onProgress, timing, ...given } = options;
  throwIfAborted(signal, repo.id);
  const settings = hubSettings(given);
  const cache = new RepoCache(settings.cacheFolder, repo.id);
  const known = cache.commitOf(repo.revision);
  const fault = known === undefined ? 'nothing of it' : cacheFault(cache, known, weights);
  if (fault === undefined && (settings.offline || isCommit(repo.revision))) return cache.snapshot(known!);
  if (settings.offline) throw new LlavaError(offlineText(repo, settings, fault!));
  using abort = new LinkedAbort(signal);
  const client = new HubClient(repo, settings, { ...DEFAULT_TIMING, ...timing }, abort.signal);
  const listing = await listRepo(client, fault === undefined);
  if (listing === undefined) return cache.snapshot(known!);
  try {
    await new SnapshotDownload(client, cache, listing, abort, onProgress).run(weights);
    // Settings alone must not take the place of an older commit that is there as a whole.
    if (weights || known === undefined) await cache.setCommit(repo.revision, listing.commit);
  } catch (error) {
    throw fileError(cache.folder, 'to download into this folder', error);
  }
  return cache.snapshot(listing.commit);
}

/** Fires with the caller's signal, or when one of several downloads has failed. */
class LinkedAbort implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    outer?.addEventListener('abort', this.fire);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly fire = (): void => this.#controller.abort();

  [Symbol.dispose](): void {
    this.#outer?.removeEventListener('abort', this.fire);
  }
}

/**
 * The files of the revision; undefined when the Hub does not say and the cache has a whole model of it: what worked before
 * goes on working without a connection, or without the token that it came with.
 */
async function listRepo(client: HubClient, isCached: boolean): Promise<RepoListing | undefined> {
  // Who has mistyped a folder's name, without a connection, should not wait long to be told.
  if (!isCached) return await client.retrying(() => fetchListing(client), Math.min(client.timing.attempts, 4));
  try {
    return await fetchListing(client);
  } catch (error) {
    if (error instanceof AbortedError || !(error instanceof LlavaError)) throw error;
    return undefined;
  }
}

/** What keeps a snapshot from being a model: undefined when nothing does. */
function cacheFault(cache: RepoCache, commit: string, weights: boolean): string | undefined {
  const names = cache.names(commit);
  if (!names.has('config.json') && !names.has('adapter_config.json')) return 'no config.json';
  if (!weights) return undefined;
  try {
    weightFiles(names, readIndex(cache, commit, names), 'the cache');
    return undefined;
  } catch (error) {
    if (error instanceof LlavaError) return 'not all of its weights';
    throw error;
  }
}

function readIndex(cache: RepoCache, commit: string, names: Pick<ReadonlySet<string>, 'has' | 'keys'>): unknown {
  const index = indexFile(names);
  return index === undefined ? undefined : readJson(join(cache.snapshot(commit), index), 'an index of weights');
}

function offlineText({ id, revision }: RepoName, { cacheFolder }: HubSettings, got: string): string {
  return `${id}: expected a folder, or the repository at ${revision} in ${cacheFolder} (HF_HUB_OFFLINE is set), got ${got}`;
}

/** The files of one commit on their way into the cache. */
class SnapshotDownload {
  readonly #client: HubClient;
  readonly #cache: RepoCache;
  readonly #listing: RepoListing;
  readonly #abort: LinkedAbort;
  readonly #onProgress: HubOptions['onProgress'];
  readonly #bytes = new Map<string, number>();
  #totalBytes = 0;

  constructor(
    client: HubClient,
    cache: RepoCache,
    listing: RepoListing,
    abort: LinkedAbort,
    onProgress: HubOptions['onProgress'],
  ) {
    this.#client = client;
    this.#cache = cache;
    this.#listing = listing;
    this.#abort = abort;
    this.#onProgress = onProgress;
  }

  /** Settings first: an index among them names the weights. */
  async run(weights: boolean): Promise<void> {
    const { files, commit } = this.#listing;
    const index = weights ? indexFile(files) : undefined;
    await this.#fetch([...settingsFiles(files), ...(index === undefined ? [] : [index])]);
    const { id } = this.#client.repo;
    if (weights) await this.#fetch(weightFiles(files, readIndex(this.#cache, commit, files), id));
    if (this.#totalBytes === 0) return; // all of it was there, and the cache may be read-only
    await this.#cache.setAbsent(
      commit,
      LOOKED_FOR.filter(name => !files.has(name)),
    );
  }

  async #fetch(names: readonly string[]): Promise<void> {
    const wanted = await this.#each(names, name => this.#describe(name));
    const missing = wanted.filter(file => !this.#cache.has(this.#listing.commit, file));
    this.#totalBytes += missing.reduce((sum, { size }) => sum + size, 0);
    await this.#checkRoom(missing);
    await this.#each(missing, file => this.#download(file));
  }

  #describe(name: string): Promise<WantedFile> {
    const { files, commit } = this.#listing;
    return this.#client.retrying(() => describeFile(this.#client, commit, files.get(name)!));
  }

  async #download(file: WantedFile): Promise<void> {
    const { commit } = this.#listing;
    const onBytes = (bytes: number) => {
      this.#bytes.set(file.path, bytes);
      let sum = 0;
      for (const count of this.#bytes.values()) sum += count;
      this.#onProgress?.({ bytes: sum, totalBytes: this.#totalBytes });
    };
    const context = { client: this.#client, cache: this.#cache, commit, onBytes, signal: this.#abort.signal };
    await downloadBlob(file, context);
    await this.#cache.link(commit, file.path, file.etag);
  }

  /** Better before than after hours. */
  async #checkRoom(files: readonly WantedFile[]): Promise<void> {
    if (files.length === 0) return;
    await makeFolders(this.#cache.folder);
    const { bavail, bsize } = await statfs(this.#cache.folder);
    const there = (etag: string) => sizeOfFile(`${this.#cache.blob(etag)}.incomplete`) ?? 0;
    const need = files.reduce((sum, { etag, size }) => sum + size - Math.min(size, there(etag)), 0);
    if (need <= bavail * bsize) return;
    throw new LlavaError(`${this.#cache.folder}: expected room for ${need} bytes, got ${bavail * bsize}`);
  }

  /** Several at once; the first that fails ends the others. */
  async #each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
    const results: R[] = [];
    let next = 0;
    const worker = async () => {
      while (next < items.length && !this.#abort.signal.aborted) {
        const i = next++;
        results[i] = await work(items[i]!);
      }
    };
    const watched = () =>
      worker().catch(error => {
        this.#abort.fire();
        throw error;
      });
    const outcomes = await Promise.allSettled(Array.from({ length: CONNECTIONS }, watched));
    const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []));
    if (failures.length > 0) throw failures.find(error => !(error instanceof AbortedError)) ?? failures[0];
    throwIfAborted(this.#abort.signal, this.#client.repo.id);
    return results;
  }
}
