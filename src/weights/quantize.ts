/**
 * @file Matrices as whole numbers with scales, in the layouts of ONNX Runtime's kernels. Shapes: N outputs, K inputs, G
 * blocks of a row.
 */

import { assert, f32Tensor, type HostTensor, hostTensor, toFloat32 } from '../core/index.ts';
import { BlockFit } from './block-fit.ts';

/** Whole numbers and what one step of each is worth. */
export interface QuantizedMatrix {
  readonly codes: HostTensor;
  readonly scale: HostTensor;
}

/** Side of the squares in which a matrix is transposed, so that both sides stay in the cache. */
const TILE = 64;

/** Scale of each row of [N, K], f32 [N]: its largest magnitude over `levels`. */
function rowScale(matrix: HostTensor, levels: number): HostTensor {
  const [outputs, inputs] = matrixShape(matrix);
  const data = toFloat32(matrix);
  const step = (_: unknown, row: number): number => magnitude(data, row * inputs, inputs) / levels;
  return f32Tensor([outputs], Float32Array.from({ length: outputs }, step));
}

/** [N, K] → codes i8 [K, N] from −127 to 127, with the scale of each row: its largest magnitude over 127. */
export function quantizeRowsOf(matrix: HostTensor): QuantizedMatrix {
  const [outputs, inputs] = matrixShape(matrix);
  const scale = rowScale(matrix, 127);
  const inverses = inversesOf(scale);
  const data = toFloat32(matrix);
  const codes = new Int8Array(data.length);
  for (let row = 0, i = 0; row < outputs; row++) {
    const inverse = inverses[row]!;
    for (const end = i + inputs; i < end; i++) codes[i] = Math.round(data[i]! * inverse);
  }
  return { codes: transposed(codes, outputs, inputs), scale };
}

/** Whole numbers of 16 bits as two bytes: w ≈ (256·code + low)·scale of its row. */
export interface WordMatrix extends QuantizedMatrix {
  /** i8 [K, N] */
  readonly low: HostTensor;
}

/** Largest code of 16 bits whose high byte, rounded, is at most 127. */
const WORD_LEVELS = 127 * 256;

/**
 * [N, K] → two bytes i8 [K, N] of each weight, with the scale of each row. No byte is −128: two products of it by −128 do not fit
 * the 16 bits in which arm64 processors without dot products add them.
 */
export function quantizeWordsOf(matrix: HostTensor): WordMatrix {
  const [outputs, inputs] = matrixShape(matrix);
  const scale = rowScale(matrix, WORD_LEVELS);
  const inverses = inversesOf(scale);
  const data = toFloat32(matrix);
  const [codes, low] = [new Int8Array(data.length), new Int8Array(data.length)];
  for (let row = 0, i = 0; row < outputs; row++) {
    const inverse = inverses[row]!;
    for (const end = i + inputs; i < end; i++) {
      const word = Math.round(data[i]! * inverse);
      codes[i] = (word + 128) >> 8;
      low[i] = Math.max(word - 256 * codes[i]!, -127);
    }
  }
  return { codes: transposed(codes, outputs, inputs), low: transposed(low, outputs, inputs), scale };
}

/** i8 [N, K] → [K, N], square by square. */
function transposed(data: Int8Array, outputs: number, inputs: number): HostTensor {
  const out = new Int8Array(data.length);
  for (let top = 0; top < outputs; top += TILE) {
    for (let left = 0; left < inputs; left += TILE) {
      for (let row = top; row < Math.min(top + TILE, outputs); row++) {
        for (let k = left; k < Math.min(left + TILE, inputs); k++) out[k * outputs + row] = data[row * inputs + k]!;
      }
    }
  }
  return hostTensor('i8', [inputs, outputs], out);
}

/** [N, K] → codes u8 [N, G, blockSize] with 128 added, and f32 [N, G]: the largest magnitude of each block over 127. */
export function quantizeBytesOf(matrix: HostTensor, blockSize: number): QuantizedMatrix {
  const data = toFloat32(matrix);
  const shape = blockShape(matrix, blockSize);
  const step = (_: unknown, block: number): number => magnitude(data, block * blockSize, blockSize) / 127;
  const scale = f32Tensor(shape, Float32Array.from({ length: shape[0] * shape[1] }, step));
  const codes = new Uint8Array(data.length);
  for (const [block, inverse] of inversesOf(scale).entries()) {
    const start = block * blockSize;
    for (let i = start; i < start + blockSize; i++) codes[i] = Math.round(data[i]! * inverse) + 128;
  }
  return { codes: hostTensor('u8', [...shape, blockSize], codes), scale };
}

/** Whole numbers of 4 bits: w ≈ (code − zero)·scale of its block. */
export interface NibbleMatrix extends QuantizedMatrix {
  /** u8 [N, ⌈G/2⌉]: the code that stands for 0 of each block. Two to a byte, as the codes, the first in the low half. */
  readonly zero: HostTensor;
}

/**
 * [N, K] → codes u8 [N, G, blockSize/2], f32 scales [N, G] and zero codes, those of least squared error.
 * @param importance [K]: what an error in each input counts. Default: all the same.
 */
export function quantizeNibblesOf(matrix: HostTensor, blockSize: number, importance?: Float32Array): NibbleMatrix {
  const data = toFloat32(matrix);
  const [outputs, blocks] = blockShape(matrix, blockSize);
  const scale = new Float32Array(outputs * blocks);
  const packed = new Uint8Array(data.length / 2);
  const zero = new Uint8Array(outputs * Math.ceil(blocks / 2));
  const fit = new BlockFit(data, blockSize, importance ?? new Float32Array(blocks * blockSize).fill(1));
  for (let block = 0; block < scale.length; block++) {
    const [row, column] = [Math.floor(block / blocks), block % blocks];
    const start = block * blockSize;
    fit.run(start, column * blockSize);
    scale[block] = fit.scale;
    zero[row * Math.ceil(blocks / 2) + (column >> 1)]! |= fit.zero << (4 * (column & 1));
    for (let i = 0; i < blockSize; i++) packed[(start + i) >> 1]! |= fit.codes[i]! << (4 * (i & 1));
  }
  return {
    codes: hostTensor('u8', [outputs, blocks, blockSize / 2], packed),
    scale: f32Tensor([outputs, blocks], scale),
    zero: hostTensor('u8', [outputs, Math.ceil(blocks / 2)], zero),
  };
}

function blockShape(matrix: HostTensor, blockSize: number): readonly [number, number] {
  const [outputs, inputs] = matrixShape(matrix);
  assert(inputs % blockSize === 0, `quantize: ${inputs} inputs in blocks of ${blockSize}`);
  return [outputs, inputs / blockSize];
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
  let most = 0;
  for (let i = start; i < start + length; i++) most = Math.max(most, Math.abs(data[i]!));
  return most;
}
