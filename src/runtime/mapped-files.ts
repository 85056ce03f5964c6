/**
 * @file Gives back memory that mapped files take. ONNX Runtime unmaps a file of weights once it holds packed copies of all that it read,
 * but leaves it mapped for those that it packs in part, with every page that it has read on the way.
 */

import { readFileSync, realpathSync } from 'node:fs';
import { ort } from './library.ts';

/** `MADV_DONTNEED` of madvise(2). */
const DONT_NEED = 4;
/** Start, end and path of a mapping, and below it how much of it was written to: of a private mapping that is no longer the file's. */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ +(\/.*)\n(?:[A-Z].*\n)*?Anonymous: +(\d+) kB$/gm;

/**
 * Takes the pages of these files out of this process's memory, where they are mapped and unchanged. They stay in the system's cache of
 * files, from which those that are still needed come back. Linux only; elsewhere nothing happens.
 */
export function releaseMappedFiles(files: Iterable<string>): void {
  if (process.platform !== 'linux') return;
  const paths = new Set(Array.from(files, file => realpathSync(file)));
  const madvise = ort().koffi.load('libc.so.6').func('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
  for (const [, start, end, path, written] of readFileSync('/proc/self/smaps', 'utf8').matchAll(MAPPING)) {
    if (written !== '0' || !paths.has(path!)) continue;
    const from = BigInt(`0x${start}`);
    madvise(from, BigInt(`0x${end}`) - from, DONT_NEED);
  }
}
