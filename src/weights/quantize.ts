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

/** Scale of each row of [N, K], f32 [N]: its largest magnitude over 127. */
export function rowScale(matrix: HostTensor): HostTensor {
  const [outputs, inputs] = matrixShape(matrix);
  const data = toFloat32(matrix);
  return f32Tensor(
    [outputs],
    Float32Array.from({ length: outputs }, (_, row) => magnitude(data, row * inputs, inputs) / 127),
  );
}

/** [N, K] → codes i8 [K, N] from −127 to 127, with the {@link rowScale}. */
export function quantizeRowsOf(matrix: HostTensor): QuantizedMatrix {
  const [outputs, inputs] = matrixShape(matrix);
  const scale = rowScale(matrix);
  const inverses = inversesOf(scale);
  const data = toFloat32(matrix);
  const codes = new Int8Array(data.length);
  for (let top = 0; top < outputs; top += TILE) {
    for (let left = 0; left < inputs; left += TILE) {
      for (let row = top; row < Math.min(top + TILE, outputs); row++) {
        const inverse = inverses[row]!;
        for (let k = left; k < Math.min(left + TILE, inputs); k++) {
          codes[k * outputs + row] = Math.round(data[row * inputs + k]! * inverse);
        }
      }
    }
  }
  return { codes: hostTensor('i8', [inputs, outputs], codes), scale };
}

/** Scale of a block from its value of largest magnitude; 2^(bits−1) is added to each code. */
const BLOCK_RULES = {
  /** The value of largest magnitude becomes −8, so that all 16 codes are used; it may have either sign. */
  4: (largest: number): number => largest / -8,
  8: (largest: number): number => Math.abs(largest) / 127,
} as const;

/** Scale of each block of [N, K], f32 [N, G]. */
export function blockScale(matrix: HostTensor, bits: 4 | 8, blockSize: number): HostTensor {
  const [outputs, inputs] = matrixShape(matrix);
  assert(inputs % blockSize === 0, `quantizeBlocksOf: ${inputs} inputs in blocks of ${blockSize}`);
  const data = toFloat32(matrix);
  const scale = Float32Array.from({ length: data.length / blockSize }, (_, block) =>
    BLOCK_RULES[bits](extreme(data, block * blockSize, blockSize)),
  );
  return f32Tensor([outputs, inputs / blockSize], scale);
}

/** [N, K] → codes u8 [N, G, blockSize·bits/8], the first of two in the low half of a byte, with the {@link blockScale}. */
export function quantizeBlocksOf(matrix: HostTensor, bits: 4 | 8, blockSize: number): QuantizedMatrix {
  const scale = blockScale(matrix, bits, blockSize);
  const data = toFloat32(matrix);
  const packed = new Uint8Array((data.length * bits) / 8);
  const [zero, top] = [2 ** (bits - 1), 2 ** bits - 1];
  for (const [block, inverse] of inversesOf(scale).entries()) {
    const start = block * blockSize;
    for (let i = start; i < start + blockSize; i++) {
      const code = Math.max(0, Math.min(top, Math.round(data[i]! * inverse) + zero));
      if (bits === 8) packed[i] = code;
      else packed[i >> 1]! |= code << (4 * (i & 1));
    }
  }
  return { codes: hostTensor('u8', [...scale.shape, (blockSize * bits) / 8], packed), scale };
}

/** 1/scale in f64, 0 for 0. */
function inversesOf(scale: HostTensor): Float64Array {
  return Float64Array.from(scale.data as Float32Array, step => (step === 0 ? 0 : 1 / step));
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
