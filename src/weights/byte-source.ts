/** @file Bytes that are read where they are wanted: a file that is open, or memory. */

import { type OpenFile, readFully } from './files.ts';

/** Bytes by position. */
export interface ByteSource {
  readonly size: number;
  /** Bytes [offset, offset + length), which must lie within the source; not to be changed. */
  read(offset: number, length: number): Uint8Array;
}

/** A file, for as long as it is open. */
export function fileSource(file: OpenFile): ByteSource {
  return {
    size: file.size,
    read: (offset, length) => {
      const bytes = new Uint8Array(length);
      readFully(file, bytes, offset);
      return bytes;
    },
  };
}

/** Bytes in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
}
