/**
 * @file Matrices as whole numbers with scales, in the layouts of ONNX Runtime's kernels. Shapes: N outputs, K inputs, G
 * blocks of a row.
 */

import { assert, f32Tensor, type HostTensor, hostTensor, toFloat32 } from '../core/index.ts';

/** Whole numbers and what one step of each is worth. */
export interface QuantizedMatrix {
  readonly codes: HostTensor;
  readonly scale: HostTensor;
}

/** Side of the squares in which a matrix is transposed, so that both sides stay in the cache. */
const TILE = 64;

/** [N, K] → codes i8 [K, N] from −127 to 127, scale f32 [N]: the row's largest magnitude over 127. */
export function quantizeRowsOf(matrix: HostTensor): QuantizedMatrix {
  const [outputs, inputs] = matrixShape(matrix);
  const data = toFloat32(matrix);
  const scale = Float32Array.from({ length: outputs }, (_, row) => magnitude(data, row * inputs, inputs) / 127);
  const codes = new Int8Array(data.length);
  for (let top = 0; top < outputs; top += TILE) {
    for (let left = 0; left < inputs; left += TILE) {
      for (let row = top; row < Math.min(top + TILE, outputs); row++) {
        const inverse = scale[row] === 0 ? 0 : 1 / scale[row]!;
        for (let k = left; k < Math.min(left + TILE, inputs); k++) {
          codes[k * outputs + row] = Math.round(data[row * inputs + k]! * inverse);
        }
      }
    }
  }
  return { codes: hostTensor('i8', [inputs, outputs], codes), scale: f32Tensor([outputs], scale) };
}

/** Codes and scale of a block, where 2^(bits−1) is added to each code. */
const BLOCK_RULES = {
  /** The value of largest magnitude becomes −8, so that all 16 codes are used; it may have either sign. */
  4: (largest: number): number => largest / -8,
  8: (largest: number): number => Math.abs(largest) / 127,
} as const;

/** [N, K] → codes u8 [N, G, blockSize·bits/8], the first of two in the low half of a byte, scale f32 [N, G]. */
export function quantizeBlocksOf(matrix: HostTensor, bits: 4 | 8, blockSize: number): QuantizedMatrix {
  const [outputs, inputs] = matrixShape(matrix);
  assert(inputs % blockSize === 0, `quantizeBlocksOf: ${inputs} inputs in blocks of ${blockSize}`);
  const data = toFloat32(matrix);
  const scale = new Float32Array(data.length / blockSize);
  const packed = new Uint8Array((data.length * bits) / 8);
  const [zero, top] = [2 ** (bits - 1), 2 ** bits - 1];
  for (let block = 0; block < scale.length; block++) {
    const start = block * blockSize;
    scale[block] = BLOCK_RULES[bits](extreme(data, start, blockSize));
    const inverse = scale[block] === 0 ? 0 : 1 / scale[block]!;
    for (let i = start; i < start + blockSize; i++) {
      const code = Math.max(0, Math.min(top, Math.round(data[i]! * inverse) + zero));
      if (bits === 8) packed[i] = code;
      else packed[i >> 1]! |= code << (4 * (i & 1));
    }
  }
  const blocks = inputs / blockSize;
  const codes = hostTensor('u8', [outputs, blocks, (blockSize * bits) / 8], packed);
  return { codes, scale: f32Tensor([outputs, blocks], scale) };
}

function matrixShape({ shape }: HostTensor): readonly [number, number] {
  assert(shape.length === 2, `quantize: a tensor of shape [${shape}]`);
  return shape as unknown as readonly [number, number];
}

function magnitude(data: Float32Array, start: number, length: number): number {
  return Math.abs(extreme(data, start, length));
}

/** The value of largest magnitude. */
function extreme(data: Float32Array, start: number, length: number): number {
  let most = 0;
  for (let i = start; i < start + length; i++) if (Math.abs(data[i]!) > Math.abs(most)) most = data[i]!;
  return most;
}
