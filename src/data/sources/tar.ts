/**
 * @file Tar archives (POSIX.1-1988 `ustar`), read from memory into a map: nothing is written to disk, so names with `..` or
 * links in an archive from a stranger do no harm.
 */

import { LlavaError } from '../../core/index.ts';

const BLOCK = 512;
/** Place of the checksum in a header; it counts as spaces in its own sum. */
const CHECKSUM = { offset: 148, length: 8 } as const;

/**
 * The regular files of an archive by name; the last of equal names counts, as when tar extracts. Links, folders and the
 * records of extended headers are passed over.
 * @param where what errors call the archive
 * @throws LlavaError when the archive is broken, or cut short within a file
 */
export function readTar(bytes: Uint8Array, where: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let offset = 0;
  while (offset + BLOCK <= bytes.length) {
    const header = bytes.subarray(offset, offset + BLOCK);
    if (header.every(byte => byte === 0)) break;
    checkSum(header, `${where}: byte ${offset}`);
    const size = octal(header, 124, 12, `${where}: byte ${offset}`);
    const start = offset + BLOCK;
    if (start + size > bytes.length) {
      throw new LlavaError(`${where}: expected ${size} bytes at ${start}, got ${bytes.length - start}, the end`);
    }
    if (isRegular(header[156]!)) files.set(fileName(header), bytes.subarray(start, start + size));
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  if (offset > 0) return files;
  throw new LlavaError(`${where}: expected a tar archive, got ${bytes.length} bytes of something else`);
}

/** Type `0`, or NUL in archives older than the standard. */
const isRegular = (type: number): boolean => type === 0x30 || type === 0;

function checkSum(header: Uint8Array, where: string): void {
  const { offset, length } = CHECKSUM;
  const spaces = length * 0x20;
  const sum = header.reduce((total, byte, i) => total + (i >= offset && i < offset + length ? 0 : byte), spaces);
  const stated = octal(header, offset, length, where);
  if (sum !== stated) throw new LlavaError(`${where}: expected a tar header with checksum ${sum}, got ${stated}`);
}

function octal(header: Uint8Array, offset: number, length: number, where: string): number {
  const digits = text(header, offset, length).trim();
  if (/^[0-7]{1,12}$/.test(digits)) return Number.parseInt(digits, 8);
  throw new LlavaError(`${where}: expected a tar header with octal numbers, got ${JSON.stringify(digits)}`);
}

/** `prefix`/`name`, the prefix being that of ustar headers only. */
function fileName(header: Uint8Array): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** A field up to its first NUL. */
function text(header: Uint8Array, offset: number, length: number): string {
  const field = header.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? field : field.subarray(0, end));
}
