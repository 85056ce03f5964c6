/** @file What a repository holds: its commit, and each file's size and content hash, as the Hub lists them. */

import { LlavaError } from '../../core/index.ts';
import { parseJson } from '../json.ts';
import type { HubClient } from './client.ts';

/** A file before its size and hash are known. */
export interface ListedFile {
  readonly path: string;
  /** What {@link describeFile} found, or the listing told. */
  readonly content: FileContent | undefined;
}

/** What a file must be. */
export interface FileContent {
  /** Bytes. */
  readonly size: number;
  /**
   * Name of the content: sha256 of large files (Git LFS), the hash of Git's own for small ones; anything else says nothing
   * of the bytes.
   */
  readonly etag: string;
}

/** A commit's files by path. */
export interface RepoListing {
  readonly commit: string;
  readonly files: ReadonlyMap<string, ListedFile>;
}

const MAX_LISTING_BYTES = 2 ** 26;

/** Asks the Hub for the files of the client's revision. */
export async function fetchListing(client: HubClient): Promise<RepoListing> {
  const { repo, settings } = client;
  const path = `/api/models/${repo.id}/revision/${encodeURIComponent(repo.revision)}?blobs=true`;
  const where = `${settings.endpoint}${path}`;
  const text = await client.request(path, {}, async ({ body }) => {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of body()) {
      length += piece.length;
      if (length > MAX_LISTING_BYTES) throw new LlavaError(`${where}: expected a list of files, got endless bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces).toString('utf8');
  });
  return parseListing(parseJson(text, where), where);
}

interface ListingJson {
  readonly sha?: unknown;
  readonly siblings?: unknown;
}

interface SiblingJson {
  readonly rfilename?: unknown;
  readonly size?: unknown;
  readonly blobId?: unknown;
  readonly lfs?: { readonly sha256?: unknown; readonly size?: unknown } | null;
}

function parseListing(json: unknown, where: string): RepoListing {
  const { sha, siblings } = (json ?? {}) as ListingJson;
  if (typeof sha !== 'string' || !isPlainName(sha)) {
    throw new LlavaError(`${where}: expected "sha", a commit, got ${JSON.stringify(sha)}`);
  }
  if (!Array.isArray(siblings)) throw new LlavaError(`${where}: expected "siblings", a list of files, got none`);
  const files = siblings.flatMap((sibling: SiblingJson | null) => {
    const path = sibling?.rfilename;
    return typeof path === 'string' ? [[path, { path, content: contentOf(sibling!) }] as const] : [];
  });
  return { commit: sha, files: new Map(files) };
}

function contentOf({ size, blobId, lfs }: SiblingJson): FileContent | undefined {
  const [etag, bytes] = lfs ? [lfs.sha256, lfs.size ?? size] : [blobId, size];
  return typeof etag === 'string' && isPlainName(etag) && isSize(bytes) ? { etag, size: bytes } : undefined;
}

/** A file's size and hash, which servers that list only names tell when they are asked for the file. */
export async function describeFile(client: HubClient, commit: string, { path, content }: ListedFile) {
  if (content) return { path, ...content };
  const options = { method: 'HEAD', accept: [301, 302, 303, 307, 308] } as const;
  return client.request(resolvePath(client, commit, path), options, async ({ response, header }) => {
    const etag = (header('x-linked-etag') ?? header('etag') ?? '').replace(/^W\//, '').replaceAll('"', '');
    const size = Number(
      header('x-linked-size') ?? ((response.ok && response.headers.get('content-length')) || Number.NaN),
    );
    if (isPlainName(etag) && isSize(size)) return { path, etag, size };
    throw new LlavaError(`${client.repo.id}: expected the size and hash of ${path}, got ${size} and "${etag}"`);
  });
}

/** Path of a file's bytes on the server. */
export function resolvePath({ repo }: HubClient, commit: string, path: string): string {
  return `/${repo.id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

/** Commits and hashes become names of files in the cache. */
function isPlainName(name: string): boolean {
  return /^\w[\w-]{0,127}$/.test(name);
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
