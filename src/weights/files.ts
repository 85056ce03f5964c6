/**
 * @file What the readers and writers share: opening of regular files, with every failure of the system turned into a
 * one-line {@link LlavaError} that names the file. Pipes and devices are refused before they are opened, since opening
 * them can wait for ever.
 */

import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LlavaError } from '../core/index.ts';

/** Most bytes that one read or write call is asked for: the system's calls take at most 2 GiB. */
export const CHUNK_BYTES = 2 ** 30;

/** Open regular file. `size` is in bytes, at the time of opening. */
export interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  readonly size: number;
}

/** True for errors thrown by the file system, as opposed to ours and to bugs. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && 'syscall' in error;
}

/** `path: expected EXPECTED, got CAUSE`; errors that are not the file system's are returned as they are. */
export function fileError(path: string, expected: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  const cause = error.message.replace(/, \w+( '.*)?$/s, '');
  return new LlavaError(`${path}: expected ${expected}, got ${cause}`, { cause: error });
}

/**
 * Opens `path`, hands it to `use` and closes it.
 * @param expected what the file should be, for the error
 * @throws LlavaError when it is missing, unreadable or not a regular file
 */
export function withFile<T>(path: string, expected: string, use: (file: OpenFile) => T): T {
  const descriptor = openRegular(path, expected);
  try {
    return use({ path, descriptor, size: fstatSync(descriptor).size });
  } catch (error) {
    throw fileError(path, expected, error);
  } finally {
    closeSync(descriptor);
  }
}

function openRegular(path: string, expected: string): number {
  try {
    const stat = statSync(path);
    if (stat.isFile()) return openSync(path, 'r');
    throw new LlavaError(`${path}: expected ${expected}, got a ${stat.isDirectory() ? 'folder' : 'pipe or device'}`);
  } catch (error) {
    throw fileError(path, expected, error);
  }
}

/** Fills `target` from byte `position` of the file on, in as many reads as it takes. */
export function readFully(file: OpenFile, target: Uint8Array, position: number): void {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(CHUNK_BYTES, target.length - done);
    const count = readSync(file.descriptor, target, done, length, position + done);
    if (count === 0) {
      const end = position + target.length;
      throw new LlavaError(`${file.path}: expected at least ${end} bytes, got ${position + done}`);
    }
    done += count;
  }
}

/**
 * The whole file.
 * @throws LlavaError also when it is larger than `maxBytes`
 */
export function readFileBytes(path: string, expected: string, maxBytes: number): Uint8Array {
  return withFile(path, expected, file => {
    if (file.size > maxBytes) {
      throw new LlavaError(`${path}: expected ${expected} of at most ${maxBytes} bytes, got ${file.size}`);
    }
    const bytes = new Uint8Array(file.size);
    readFully(file, bytes, 0);
    return bytes;
  });
}

/** Changes when the file is written to or replaced by another. Throws LlavaError when there is none. */
export function fileIdentity(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    throw fileError(path, 'a file of weights', error);
  }
}

/** Makes a folder and those above it. Node's own recursive `mkdir` never returns for a path under /proc. */
export async function makeFolders(path: string): Promise<void> {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolders(parent);
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Text of UTF-8 bytes; a byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new LlavaError(`${where}: expected UTF-8 text, got bytes that are not UTF-8`);
  }
}

/** Names from a stranger's file, made fit for one line of a terminal. */
export function listNames(names: readonly string[]): string {
  return names.map(name => cut(name, 1000).replace(/\p{Cc}/gu, '\ufffd')).join(', ');
}

/** The same of one name, quoted, and cut to a length fit for an error. */
export function quoteName(name: string): string {
  return JSON.stringify(cut(name, 100).replace(/\p{Cc}/gu, '\ufffd'));
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
