/**
 * @file ggml's quantised blocks as numbers. A block holds 32 or 256 elements: packed integers with a scale, some with a
 * minimum, both f16; the K types have scales of 4 to 8 bits for groups of 16 or 32 elements besides. Sources: the block
 * layouts in ggml's `ggml-common.h`. Bit for bit the values of the `gguf` package's `dequantize`: products here are
 * exact in f64, so that each element is rounded once.
 *
 * Names: d scale, m minimum, q packed integers, h their high bits.
 */

import { fromF16 } from '../../core/index.ts';
import type { QuantisedType } from './types.ts';

/** Writes the elements of the block at `at` of `bytes` into `out` from `to` on. */
export type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const f16At = (bytes: Uint8Array, at: number): number => fromF16(bytes[at]! | (bytes[at + 1]! << 8));
const signed = (byte: number): number => (byte << 24) >> 24;

/** d, 16 bytes of two nibbles: low ones are elements 0–15, high ones 16–31; value (q − 8)·d. */
const q40: BlockDecoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 2 + i]!;
    out[to + i] = ((q & 15) - 8) * d;
    out[to + 16 + i] = ((q >> 4) - 8) * d;
  }
};

/** d, m, nibbles; value q·d + m. */
const q41: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [f16At(bytes, at), f16At(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 4 + i]!;
    out[to + i] = (q & 15) * d + m;
    out[to + 16 + i] = (q >> 4) * d + m;
  }
};

const u32At = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

/** d, a fifth bit of each element, nibbles; value (q − 16)·d. */
const q50: BlockDecoder = (bytes, at, out, to) => {
  const [d, h] = [f16At(bytes, at), u32At(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 6 + i]!;
    out[to + i] = ((q & 15) + ((h >>> i) & 1) * 16 - 16) * d;
    out[to + 16 + i] = ((q >> 4) + ((h >>> (i + 16)) & 1) * 16 - 16) * d;
  }
};

/** d, m, a fifth bit of each element, nibbles; value q·d + m. */
const q51: BlockDecoder = (bytes, at, out, to) => {
  const [d, m, h] = [f16At(bytes, at), f16At(bytes, at + 2), u32At(bytes, at + 4)];
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 8 + i]!;
    out[to + i] = ((q & 15) + ((h >>> i) & 1) * 16) * d + m;
    out[to + 16 + i] = ((q >> 4) + ((h >>> (i + 16)) & 1) * 16) * d + m;
  }
};

/** d, 32 signed bytes; value q·d. */
const q80: BlockDecoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = signed(bytes[at + 2 + i]!) * d;
};

/**
 * 16 bytes of 4-bit scale and minimum for groups of 16, 64 bytes of four 2-bit elements, d, m. Of each half of 128
 * elements, bits 2j and 2j+1 of its 32 bytes are elements 32j to 32j + 31.
 */
const q2k: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [f16At(bytes, at + 80), f16At(bytes, at + 82)];
  for (let group = 0; group < 16; group++) {
    const scales = bytes[at + group]!;
    const [scale, minimum] = [d * (scales & 15), m * (scales >> 4)];
    const from = at + 16 + 32 * (group >> 3) + 16 * (group & 1);
    const shift = 2 * ((group >> 1) & 3);
    for (let i = 0; i < 16; i++) out[to + 16 * group + i] = ((bytes[from + i]! >> shift) & 3) * scale - minimum;
  }
};

/** 32 bytes of high bits (bit j: elements 32j …), 64 bytes of 2-bit elements as in Q2_K, 16 scales of 6 bits, d. */
const q3k: BlockDecoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 108);
  for (let group = 0; group < 16; group++) {
    const low = bytes[at + 96 + (group & 7)]! >> (4 * (group >> 3));
    const high = bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2));
    const scale = d * (((low & 15) | ((high & 3) << 4)) - 32);
    const from = at + 32 + 32 * (group >> 3) + 16 * (group & 1);
    const highFrom = at + 16 * (group & 1);
    const shift = 2 * ((group >> 1) & 3);
    for (let i = 0; i < 16; i++) {
      const bit = (bytes[highFrom + i]! >> (group >> 1)) & 1;
      out[to + 16 * group + i] = (((bytes[from + i]! >> shift) & 3) + 4 * bit - 4) * scale;
    }
  }
};

/** 6-bit scale of group `j` of 8 from the 12 bytes at `at`: the last four have their high bits with the first four. */
function scaleOf(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j]! & 63 : (bytes[at + j + 4]! & 15) | ((bytes[at + j - 4]! >> 6) << 4);
}

/** 6-bit minimum of group `j`. */
function minimumOf(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j + 4]! & 63 : (bytes[at + j + 4]! >> 4) | ((bytes[at + j]! >> 6) << 4);
}

/** d, m, 8 scales and minima of 6 bits for groups of 32, nibbles: byte i of 32 holds elements i and 32 + i of 64. */
const q4k: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [f16At(bytes, at), f16At(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = [d * scaleOf(bytes, at + 4, group), m * minimumOf(bytes, at + 4, group)];
    const [from, shift] = [at + 16 + 32 * (group >> 1), 4 * (group & 1)];
    for (let i = 0; i < 32; i++) out[to + 32 * group + i] = ((bytes[from + i]! >> shift) & 15) * scale - minimum;
  }
};

/** As Q4_K, with a fifth bit: bit j of byte i of 32 belongs to element i of group j. */
const q5k: BlockDecoder = (bytes, at, out, to) => {
  const [d, m] = [f16At(bytes, at), f16At(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = [d * scaleOf(bytes, at + 4, group), m * minimumOf(bytes, at + 4, group)];
    const [from, shift] = [at + 48 + 32 * (group >> 1), 4 * (group & 1)];
    for (let i = 0; i < 32; i++) {
      const q = ((bytes[from + i]! >> shift) & 15) + 16 * ((bytes[at + 16 + i]! >> group) & 1);
      out[to + 32 * group + i] = q * scale - minimum;
    }
  }
};

/** 128 bytes of nibbles, 64 bytes of 2 high bits, 16 signed scales, d; value (q − 32)·scale·d. Halves of 128 elements. */
const q6k: BlockDecoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 208);
  for (let group = 0; group < 16; group++) {
    const scale = d * signed(bytes[at + 192 + group]!);
    const [half, quarter, part] = [group >> 3, (group >> 1) & 3, group & 1];
    const from = at + 64 * half + 32 * (quarter & 1) + 16 * part;
    const highFrom = at + 128 + 32 * half + 16 * part;
    for (let i = 0; i < 16; i++) {
      const low = (bytes[from + i]! >> (4 * (quarter >> 1))) & 15;
      const high = (bytes[highFrom + i]! >> (2 * quarter)) & 3;
      out[to + 16 * group + i] = (low + 16 * high - 32) * scale;
    }
  }
};

/** How each quantised type is decoded. */
export const BLOCK_DECODERS: { readonly [K in QuantisedType]: BlockDecoder } = {
  Q4_0: q40,
  Q4_1: q41,
  Q5_0: q50,
  Q5_1: q51,
  Q8_0: q80,
  Q2_K: q2k,
  Q3_K: q3k,
  Q4_K: q4k,
  Q5_K: q5k,
  Q6_K: q6k,
};
