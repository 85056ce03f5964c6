/**
 * @file Locks between processes that download the same file, so that it comes once. A lock is a file that says whose it is
 * and is touched while it is held; one of a process that has gone is taken over. Should two ever hold one, both write the
 * same bytes to the same places: nothing breaks, the file only comes twice.
 */

import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../core/index.ts';
import { isAlive } from '../atomic.ts';
import { makeFolders } from '../files.ts';

const TOUCH_MS = 5_000;
/** A holder on another machine that was not heard of for so long has gone. */
const STALE_MS = 60_000;
const POLL_MS = 100;

/** A lock that is held. */
export class FileLock implements AsyncDisposable {
  readonly #path: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => {}); // a cache that was deleted meanwhile is found out where it matters
    }, TOUCH_MS);
    this.#timer.unref();
  }

  /** Waits for the lock. */
  static async acquire(path: string, signal?: AbortSignal): Promise<FileLock> {
    await makeFolders(dirname(path));
    const owner = JSON.stringify({ pid: process.pid, host: hostname() });
    for (;;) {
      throwIfAborted(signal, path);
      if (await create(path, owner)) return new FileLock(path);
      if (await isAbandoned(path)) await remove(path);
      else await sleep(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await rm(this.#path, { force: true }).catch(() => {});
  }
}

async function create(path: string, owner: string): Promise<boolean> {
  try {
    await writeFile(path, owner, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const [text, touched] = await Promise.all([readFile(path, 'utf8'), stat(path)]).catch(() => ['', undefined] as const);
  if (!touched) return false; // it was let go just now
  if (Date.now() - touched.mtimeMs > STALE_MS) return true;
  const owner = /"pid":(\d+),"host":"(.*)"/.exec(text);
  return owner?.[2] === hostname() && !isAlive(Number(owner[1]));
}

/** Of several that find it abandoned one moves it away; the others find it gone. */
async function remove(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  await rename(path, aside).catch(() => {});
  await rm(aside, { force: true }).catch(() => {});
}
