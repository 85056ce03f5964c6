/**
 * @file Saving so that whatever happens (full disk, missing permission, `kill -9`, power cut) leaves the old file or
 * folder, or the new one, and never a mixture: write under a temporary name in the same folder, fsync, rename, fsync the
 * folder. Leftovers of killed processes are removed by the next save to the same place.
 *
 * Names beside TARGET: `.TARGET.tmp-PID-ID` (being written, or to be thrown away) and `.TARGET.old-PID-ID` (the previous
 * folder, for the moment between the two renames that a folder needs; see {@link recoverFolder}).
 */

import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LlavaError } from '../core/index.ts';
import { CHUNK_BYTES, fileError, makeFolders } from './files.ts';

/** Appends bytes to the file being written. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void>;

/** Content of a file: all of it, or a function that writes it piece by piece. */
export type FileContent = Uint8Array | string | ((write: WriteBytes) => Promise<void>);

/** Temporary names in use by this process: its own number may also stand in leftovers of a killed one (containers). */
const inUse = new Set<string>();

/**
 * Writes or replaces a file, all or nothing.
 * @throws LlavaError that names the file and the cause; errors of a content function pass unchanged
 */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  const target = resolve(path);
  await throughTemporary(target, 'to write this file', async temporary => {
    await refuseUnlessFile(target);
    await writeSynced(temporary, content);
    await rename(temporary, target);
    await syncFolder(dirname(target));
  });
}

/**
 * Writes or replaces a folder, all or nothing: `fill` writes its files into a temporary folder, which then takes the
 * name. Folders above it are made when missing.
 * @throws LlavaError that names the folder and the cause; an old folder is then untouched
 */
export async function saveFolderAtomic(folder: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const target = resolve(folder);
  recoverFolder(target);
  await throughTemporary(target, 'to save this folder', async temporary => {
    await makeFolders(temporary);
    await fill(temporary);
    await syncTree(temporary);
    await swapFolder(temporary, target);
    await syncFolder(dirname(target));
  });
}

/**
 * Finishes a save that was killed between the renames of {@link saveFolderAtomic}: gives the new folder, or failing that
 * the old one, its name. Does nothing when the folder exists or nothing is left to recover.
 */
export function recoverFolder(folder: string): void {
  const target = resolve(folder);
  if (existsSync(target)) return;
  const old = leftovers(target, namesIn(dirname(target))).find(({ kind }) => kind === 'old');
  if (!old) return;
  const complete = join(dirname(target), temporaryTwin(old.name));
  try {
    renameSync(existsSync(complete) ? complete : join(dirname(target), old.name), target);
  } catch (error) {
    throw fileError(target, 'to recover an interrupted save', error);
  }
}

/** Names in a folder; none when it cannot be read, as what follows will tell. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Runs `save` with a fresh temporary name beside `target`; afterwards nothing of that name is left. */
async function throughTemporary(
  target: string,
  expected: string,
  save: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(target), `.${basename(target)}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`);
  inUse.add(basename(temporary));
  try {
    await removeLeftovers(target);
    await save(temporary);
  } catch (error) {
    throw renamed(fileError(target, expected, error), temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    inUse.delete(basename(temporary));
  }
}

/** The same error, told with the name that the user knows. */
function renamed(error: unknown, temporary: string, target: string): unknown {
  if (!(error instanceof LlavaError) || !error.message.includes(temporary)) return error;
  return new LlavaError(error.message.replaceAll(temporary, target), { cause: error });
}

/** A rename would replace a device, such as /dev/null, by a file. */
async function refuseUnlessFile(target: string): Promise<void> {
  const old = await stat(target).catch(undefinedIfMissing);
  if (!old || old.isFile()) return;
  throw new LlavaError(
    `${target}: expected a file to replace, got a ${old.isDirectory() ? 'folder' : 'pipe or device'}`,
  );
}

function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function writeSynced(path: string, content: FileContent): Promise<void> {
  const file = await open(path, 'wx');
  try {
    const write: WriteBytes = bytes => writeAll(file, bytes);
    if (typeof content === 'function') await content(write);
    else await write(typeof content === 'string' ? Buffer.from(content) : content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes all bytes at the file's position: one call of the system may take only a part. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(CHUNK_BYTES, bytes.length - done));
    done += bytesWritten;
  }
}

/** Makes names and renames in a folder durable. Windows, and some network drives, have no such call: there it is skipped. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

async function syncTree(folder: string): Promise<void> {
  for (const item of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, item.name);
    if (item.isDirectory()) await syncTree(path);
    else if (item.isFile()) await syncFile(path);
  }
  await syncFolder(folder);
}

/** Opened for writing, since Windows flushes only such files. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Gives `temporary` the name `target`. Folders cannot be replaced in one rename, so an old one steps aside first; a kill
 * in between is mended by {@link recoverFolder}.
 */
async function swapFolder(temporary: string, target: string): Promise<void> {
  const old = temporary.replace(/\.tmp(-\d+-\w+)$/, '.old$1');
  if (!(await stepAside(target, old))) return rename(temporary, target);
  try {
    await rename(temporary, target);
  } catch (error) {
    // A reader may have recovered the folder in between; otherwise the old one gets its name back.
    const recovered = existsSync(target) && !existsSync(temporary);
    if (!recovered) {
      await rename(old, target);
      throw error;
    }
  }
  await discard(dirname(old), basename(old));
}

/** Renames an existing folder; false when there is none. */
async function stepAside(target: string, old: string): Promise<boolean> {
  const previous = await lstat(target).catch(undefinedIfMissing);
  if (!previous) return false;
  if (!previous.isDirectory() && !previous.isSymbolicLink())
    throw new LlavaError(`${target}: expected a folder to save into, got a file`);
  await rename(target, old);
  return true;
}

interface Leftover {
  readonly name: string;
  readonly kind: 'tmp' | 'old';
  readonly pid: number;
}

/** Temporary names of `target` among the names of its folder. */
function leftovers(target: string, names: readonly string[]): Leftover[] {
  const prefix = `.${basename(target)}.`;
  return names.flatMap(name => {
    const match = name.startsWith(prefix) ? /^(tmp|old)-(\d+)-\w+$/.exec(name.slice(prefix.length)) : null;
    return match ? [{ name, kind: match[1] as Leftover['kind'], pid: Number(match[2]) }] : [];
  });
}

/** The temporary name of the save that moved an old folder aside. */
function temporaryTwin(oldName: string): string {
  return oldName.replace(/\.old(-\d+-\w+)$/, '.tmp$1');
}

/** Removes what killed processes left beside `target`, as far as it goes: failing here must not stop a save. */
async function removeLeftovers(target: string): Promise<void> {
  const folder = dirname(target);
  const found = leftovers(target, await readdir(folder).catch(() => []));
  const stale = found.filter(({ name, pid }) => !inUse.has(name) && (pid === process.pid || !isAlive(pid)));
  for (const { name } of stale.filter(({ kind }) => kind === 'tmp')) await discard(folder, name);
  for (const { name } of stale.filter(({ kind }) => kind === 'old')) await discard(folder, name);
}

/** An old folder gives up its name before its files, lest {@link recoverFolder} find it half removed. */
async function discard(folder: string, name: string): Promise<void> {
  const trash = temporaryTwin(name);
  try {
    if (trash !== name) await rename(join(folder, name), join(folder, trash));
    await rm(join(folder, trash), { recursive: true, force: true });
  } catch {
    // The next save tries again.
  }
}

/** True when a process of this number runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
