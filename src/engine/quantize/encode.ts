/** @file A layer's weights in each of the stored forms, and what they then mean. */

import { assert, type HostTensor, toFloat32 } from '../../core/index.ts';
import { BLOCK_SIZE, isFloatFormat, type WeightFormat } from '../../models/index.ts';
import { quantizeBytesOf, quantizeNibblesOf, quantizeRowsOf, quantizeWordsOf } from '../../weights/index.ts';

/** The parts of a weight as they are stored. */
export interface Encoded {
  readonly codes: HostTensor;
  readonly scale: HostTensor;
  /** Low bytes, of 16 bits only. */
  readonly low?: HostTensor;
  /** Codes of 0, of 4 bits only. */
  readonly zero?: HostTensor;
}

/** @param importance [K]: what an error in each input counts, for forms that choose their scales by it */
export function encode(matrix: HostTensor, format: WeightFormat, importance?: Float32Array): Encoded {
  assert(!isFloatFormat(format), 'encode: floats');
  if (format === 'w16a16') return quantizeWordsOf(matrix);
  if (format === 'int4') return quantizeNibblesOf(matrix, BLOCK_SIZE, importance);
  return format === 'int8' ? quantizeBytesOf(matrix, BLOCK_SIZE) : quantizeRowsOf(matrix);
}

/** The matrix [N, K] that the parts stand for. */
export function decode({ codes, scale, low, zero }: Encoded, format: WeightFormat): Float32Array {
  const steps = toFloat32(scale);
  const data = codes.data as Uint8Array | Int8Array;
  if (low)
    return decodeColumns(
      Int16Array.from(data, (high, i) => 256 * high + Number(low.data[i])),
      steps,
    );
  if (format !== 'int4' && format !== 'int8') return decodeColumns(data, steps);
  const perByte = format === 'int4' ? 2 : 1;
  const out = new Float32Array(data.length * perByte);
  const [rows, blocks] = scale.shape as [number, number];
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const at = row * blocks + block;
      const origin = zero ? nibble(zero.data as Uint8Array, row * zero.shape[1]! * 2 + block) : 128;
      for (let i = at * BLOCK_SIZE; i < (at + 1) * BLOCK_SIZE; i++) {
        const code = perByte === 2 ? nibble(data, i) : data[i]!;
        out[i] = (code - origin) * steps[at]!;
      }
    }
  }
  return out;
}

const nibble = (bytes: ArrayLike<number>, i: number): number => (bytes[i >> 1]! >> (4 * (i & 1))) & 15;

/** Codes [K, N] with a step for each column → [N, K]. */
function decodeColumns(codes: ArrayLike<number>, steps: Float32Array): Float32Array {
  const outputs = steps.length;
  const inputs = codes.length / outputs;
  const out = new Float32Array(codes.length);
  for (let k = 0; k < inputs; k++) {
    for (let row = 0; row < outputs; row++) out[row * inputs + k] = codes[k * outputs + row]! * steps[row]!;
  }
  return out;
}
