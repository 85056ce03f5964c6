/**
 * @file The two orders of query and key rows within a head. Hugging Face turns rows j and j + size/2 together (halves),
 * llama2.c and ggml's `llama` models rows 2j and 2j + 1 (pairs).
 */

import type { TypedArray } from '../core/index.ts';

/** Pairs → halves: row 2j + s of each head moves to j + s·headSize/2. Rows have `rowLength` elements. */
export function toHalves<T extends TypedArray>(rows: T, headSize: number, rowLength: number): T {
  const half = headSize / 2;
  return moveRows(rows, headSize, rowLength, row => (row >> 1) + (row & 1 ? half : 0));
}

/** Halves → pairs, the inverse of {@link toHalves}. */
export function toPairs<T extends TypedArray>(rows: T, headSize: number, rowLength: number): T {
  const half = headSize / 2;
  return moveRows(rows, headSize, rowLength, row => (row < half ? 2 * row : 2 * (row - half) + 1));
}

/** Within each head, row r goes to row `target(r)`. */
function moveRows<T extends TypedArray>(
  rows: T,
  headSize: number,
  rowLength: number,
  target: (row: number) => number,
): T {
  const out = rows.slice() as T;
  for (let row = 0; row < rows.length / rowLength; row++) {
    const inHead = row % headSize;
    const to = row - inHead + target(inHead);
    out.set(rows.subarray(row * rowLength, (row + 1) * rowLength) as never, to * rowLength);
  }
  return out;
}
