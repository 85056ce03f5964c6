/** @file Random damage to a GGUF file: the reader must return or throw a LlavaError, nothing else. */

import { LlavaError, Rng } from '../../../src/core/index.ts';
import { dequantise, memorySource, parseGgufHeader } from '../../../src/weights/index.ts';

/** Values that are likely to be wrong somewhere. */
const EXTREMES = [0n, 1n, 255n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 40n];

/** Bytes with one to four faults: bits, bytes, integers, cuts, moved parts. */
function damage(original: Uint8Array, rng: Rng): Uint8Array {
  const bytes = Buffer.from(original);
  let end = bytes.length;
  const faults = 1 + rng.int(4);
  for (let i = 0; i < faults; i++) {
    // Half of the faults hit the fixed fields in front.
    const at = rng.int(rng.int(2) === 0 ? 64 : bytes.length - 8);
    const kind = rng.int(6);
    if (kind === 0) bytes[at]! ^= 1 << rng.int(8);
    else if (kind === 1) bytes[at] = rng.int(256);
    else if (kind === 2) bytes.writeBigUInt64LE(EXTREMES[rng.int(EXTREMES.length)]!, at);
    else if (kind === 3) bytes.writeUInt32LE(rng.int(20), at);
    else if (kind === 4) bytes.copyWithin(at, rng.int(bytes.length), rng.int(bytes.length));
    else end = Math.min(end, at);
  }
  return bytes.subarray(0, end);
}

/** How many of `count` damaged files were refused and read. Throws whatever is not a LlavaError. */
export function fuzzGguf(original: Uint8Array, count: number, seed: number): { refused: number; read: number } {
  const rng = new Rng(seed);
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const bytes = damage(original, rng);
    try {
      const { tensors } = parseGgufHeader(memorySource(bytes), 'fuzz.gguf');
      for (const tensor of tensors) {
        const data = bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength);
        if (!tensor.type.dtype) dequantise(data, tensor);
      }
    } catch (error) {
      if (!(error instanceof LlavaError) || !/^fuzz\.gguf: .*expected .+, got /.test(error.message)) throw error;
      refused++;
    }
  }
  return { refused, read: count - refused };
}
