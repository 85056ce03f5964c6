/** @file Numbers as ggml's blocks, for the types that are written. Same bytes as the `gguf` package's `quantize`. */

import { toF16 } from '../../core/index.ts';
import { TENSOR_TYPE_TABLE } from './types.ts';

/** Quantised types that can be written. */
export type WritableQuant = 'Q8_0' | 'Q4_0';

/** Writes 32 elements of `values` from `from` on as the block at `at` of `bytes`. */
type BlockEncoder = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => void;

const BLOCK = 32;

function writeF16(bytes: Uint8Array, at: number, value: number): void {
  const bits = toF16(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** d = largest magnitude / 127, q = x / d, halves away from zero. */
const q80: BlockEncoder = (values, from, bytes, at) => {
  let largest = 0;
  for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
  const d = Math.fround(largest / 127);
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  writeF16(bytes, at, d);
  for (let i = 0; i < BLOCK; i++) {
    const scaled = Math.fround(values[from + i]! * inverse);
    bytes[at + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
  }
};

/** d = the element of largest magnitude / −8, so that it becomes 0 of 0 … 15; q = x / d + 8, to nearest. */
const q40: BlockEncoder = (values, from, bytes, at) => {
  let extreme = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (Math.abs(values[from + i]!) > Math.abs(extreme)) extreme = values[from + i]!;
  }
  const d = Math.fround(extreme / -8);
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  const nibble = (i: number): number => Math.min(15, Math.trunc(Math.fround(values[from + i]! * inverse + 8.5)));
  writeF16(bytes, at, d);
  for (let i = 0; i < 16; i++) bytes[at + 2 + i] = nibble(i) | (nibble(i + 16) << 4);
};

const ENCODERS: { readonly [K in WritableQuant]: BlockEncoder } = { Q8_0: q80, Q4_0: q40 };

/** The bytes of `values`, whose count is a multiple of 32. */
export function quantise(type: WritableQuant, values: Float32Array): Uint8Array {
  const { blockBytes } = TENSOR_TYPE_TABLE.get(type)!;
  const count = values.length / BLOCK;
  const bytes = new Uint8Array(count * blockBytes);
  for (let block = 0; block < count; block++) ENCODERS[type](values, block * BLOCK, bytes, block * blockBytes);
  return bytes;
}
