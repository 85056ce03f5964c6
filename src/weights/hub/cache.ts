/**
 * @file The cache that all programs of Hugging Face share. Of a repository `org/name`:
 *
 *     models--org--name/refs/REVISION              the commit that a branch or tag stood at when last seen
 *     models--org--name/blobs/ETAG                 a file's content, named by its hash
 *     models--org--name/blobs/ETAG.incomplete      the part of it that has come so far
 *     models--org--name/snapshots/COMMIT/PATH      a link to its content
 *     models--org--name/.no_exist/COMMIT/PATH      empty: the commit has no such file
 *     .locks/models--org--name/                    who is downloading what
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile, link, lstat, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { writeFileAtomic } from '../atomic.ts';
import { makeFolders } from '../files.ts';
import { isCommit } from './name.ts';

/** The part of a cache that belongs to one repository. */
export class RepoCache {
  readonly folder: string;
  readonly lockFolder: string;

  constructor(cacheFolder: string, id: string) {
    const name = `models--${id.replace('/', '--')}`;
    this.folder = join(resolve(cacheFolder), name);
    this.lockFolder = join(resolve(cacheFolder), '.locks', name);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that `revision` is known to stand at. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    try {
      const commit = readFileSync(join(this.folder, 'refs', revision), 'utf8').trim();
      return /^\w[\w-]*$/.test(commit) ? commit : undefined;
    } catch {
      return undefined;
    }
  }

  /** Remembers where a branch or tag stands. */
  async setCommit(revision: string, commit: string): Promise<void> {
    if (this.commitOf(revision) === commit) return;
    const file = join(this.folder, 'refs', revision);
    await makeFolders(dirname(file));
    await writeFileAtomic(file, commit);
  }

  /** Names in a snapshot whose content is there. */
  names(commit: string): Set<string> {
    try {
      const folder = this.snapshot(commit);
      return new Set(readdirSync(folder).filter(name => sizeOfFile(join(folder, name)) !== undefined));
    } catch {
      return new Set();
    }
  }

  /** True when the snapshot has a file of this size. */
  has(commit: string, { path, size }: { readonly path: string; readonly size: number }): boolean {
    return sizeOfFile(join(this.snapshot(commit), path)) === size;
  }

  /**
   * Puts a blob into a snapshot: as a relative link, so that the cache can be moved; where such links are not
   * allowed, as a second name or a copy.
   */
  async link(commit: string, path: string, etag: string): Promise<void> {
    const pointer = join(this.snapshot(commit), path);
    const target = relative(dirname(pointer), this.blob(etag));
    await makeFolders(dirname(pointer));
    if ((await readlink(pointer).catch(() => undefined)) === target) return;
    const temporary = `${pointer}.${randomBytes(4).toString('hex')}.tmp`;
    try {
      await symlink(target, temporary)
        .catch(() => link(this.blob(etag), temporary))
        .catch(() => copyFile(this.blob(etag), temporary));
      await rename(temporary, pointer);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Remembers which files the commit does not have, so that others need not ask. */
  async setAbsent(commit: string, paths: readonly string[]): Promise<void> {
    const folder = join(this.folder, '.no_exist', commit);
    await makeFolders(folder);
    for (const path of paths) {
      const file = join(folder, path);
      await lstat(file).catch(() => writeFile(file, ''));
    }
  }
}

/** Bytes of the file that a path leads to; undefined when there is none. */
export function sizeOfFile(path: string): number | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : undefined;
}

/** `org/name` for a snapshot's folder in a cache. */
export function repoOfSnapshot(folder: string): string | undefined {
  const snapshots = dirname(resolve(folder));
  const match = /^models--(.+?)--(.+)$/.exec(basename(dirname(snapshots)));
  return match && basename(snapshots) === 'snapshots' ? `${match[1]}/${match[2]}` : undefined;
}
