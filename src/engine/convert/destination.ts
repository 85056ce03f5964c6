/**
 * @file The folder that a conversion writes. A marker file says what is being written there while it is unfinished, so that
 * the same command goes on where it was killed and another one refuses; `config.json` comes last, so that half a
 * conversion never looks like a model.
 */

import { existsSync, readdirSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { fileError, makeFolders, readJson, writeFileAtomic } from '../../weights/index.ts';

const MARKER = '.llava-convert.json';

/** What is converted and how: two conversions that agree in this write the same bytes. */
export interface Job {
  readonly to: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** `name size modified` of each file of the source. */
  readonly files: readonly string[];
}

/** Name, size and time of the source's files, so that a changed source is noticed. */
export function fingerprint(source: string): string[] {
  const names = readdirSync(source).sort();
  const files = names.map(name => ({ name, stat: statSync(join(source, name), { throwIfNoEntry: false }) }));
  return files.flatMap(({ name, stat }) => (stat?.isFile() ? [`${name} ${stat.size} ${stat.mtimeMs}`] : []));
}

/**
 * Makes `destination` ready for `job`: new, empty, or left unfinished by the same job.
 * @returns whether there is something to resume
 * @throws LlavaError when something else is there, or when it cannot be written
 */
export async function beginJob(destination: string, job: Job): Promise<boolean> {
  const marker = join(destination, MARKER);
  const isUnfinished = existsSync(marker);
  if (isUnfinished) checkSame(destination, job, readJson(marker));
  try {
    if (!isUnfinished) checkEmpty(destination);
    await makeFolders(destination);
    if (!isUnfinished) await writeFileAtomic(marker, `${JSON.stringify(job, null, 2)}\n`);
  } catch (error) {
    throw fileError(destination, 'a folder that can be written to', error);
  }
  return isUnfinished;
}

/** The last step of a job: from now on the folder is a model like any other. */
export async function endJob(destination: string): Promise<void> {
  await rm(join(destination, MARKER), { force: true });
}

/** Throws when the disk has less room than `bytes`. */
export function checkRoom(destination: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(destination);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new LlavaError(
    `${destination}: expected ${formatGigabytes(bytes)} of free space, got ${formatGigabytes(free)}`,
  );
}

const formatGigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** Throws when `destination` is the source or lies in it. */
export function refuseInside(source: string, destination: string): void {
  const way = relative(realpathSync(source), realPath(resolve(destination)));
  if (isAbsolute(way) || way.split(sep)[0] === '..') return;
  throw new LlavaError(`${destination}: expected a folder outside of the model to convert, got one in ${source}`);
}

/** The real path of a file that may not be there yet. */
function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  const parent = dirname(path);
  return parent === path ? path : join(realPath(parent), relative(parent, path));
}

function checkSame(destination: string, job: Job, found: unknown): void {
  if (JSON.stringify(found) === JSON.stringify(job)) return;
  throw new LlavaError(
    `${destination}: expected the beginnings of this conversion, got those of another, or the source has changed: ` +
      'remove the folder or choose another',
  );
}

function checkEmpty(destination: string): void {
  const stat = statSync(destination, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isDirectory()) throw new LlavaError(`${destination}: expected a folder to write to, got a file`);
  const names = readdirSync(destination).filter(name => !name.startsWith(`.${MARKER}.tmp-`));
  if (names.length === 0) return;
  throw new LlavaError(
    `${destination}: expected a new or empty folder, got one with ${names.length} files (${names.slice(0, 3).join(', ')})`,
  );
}
