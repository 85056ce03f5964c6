/**
 * @file Matrices as whole numbers, made group by group of inputs: the codes of one group are known before the values of the next
 * are asked for, so that these can make up for its errors. Layouts are those of quantize.ts; N outputs, K inputs, G groups.
 */

import { f32Tensor, type HostTensor, hostTensor, toFloat32 } from '../core/index.ts';
import { BlockFit, nibbleOf } from './block-fit.ts';
import type { NibbleMatrix, QuantizedMatrix } from './quantize.ts';

/** Rounds one value after another: `begin` a group of an output, then `round` its inputs. */
export interface GroupRounder {
  /** @param start first input of the group, `values` what its inputs would best be */
  begin(row: number, start: number, values: Float32Array): void;
  /** Rounds the value of input `start + i`; returns what its code stands for. */
  round(i: number, value: number): number;
  /** The codes, once every value is rounded. */
  readonly result: QuantizedMatrix | NibbleMatrix;
}

/** Codes i8 [K, N] with a scale for each output: the largest magnitude of the matrix's row over 127. */
export class RowRounder implements GroupRounder {
  readonly result: QuantizedMatrix;
  readonly #codes: Int8Array;
  readonly #scale: Float32Array;
  readonly #outputs: number;
  #step = 0;
  #at = 0;

  constructor(matrix: HostTensor) {
    const [outputs, inputs] = matrix.shape as [number, number];
    const data = toFloat32(matrix);
    this.#outputs = outputs;
    this.#codes = new Int8Array(outputs * inputs);
    this.#scale = Float32Array.from(
      { length: outputs },
      (_, row) => largest(data.subarray(row * inputs, (row + 1) * inputs)) / 127,
    );
    this.result = {
      codes: hostTensor('i8', [inputs, outputs], this.#codes),
      scale: f32Tensor([outputs], this.#scale),
    };
  }

  begin(row: number, start: number): void {
    this.#step = this.#scale[row]!;
    this.#at = start * this.#outputs + row;
  }

  round(i: number, value: number): number {
    const code = byteOf(value, this.#step);
    this.#codes[this.#at + i * this.#outputs] = code;
    return code * this.#step;
  }
}

/** Codes u8 [N, G, size] with 128 added, and f32 [N, G]: the largest magnitude of each group over 127. */
export class ByteRounder implements GroupRounder {
  readonly result: QuantizedMatrix;
  readonly #codes: Uint8Array;
  readonly #scale: Float32Array;
  readonly #inputs: number;
  #step = 0;
  #at = 0;

  constructor([outputs, inputs]: readonly [number, number], size: number) {
    this.#inputs = inputs;
    this.#codes = new Uint8Array(outputs * inputs);
    this.#scale = new Float32Array((outputs * inputs) / size);
    this.result = {
      codes: hostTensor('u8', [outputs, inputs / size, size], this.#codes),
      scale: f32Tensor([outputs, inputs / size], this.#scale),
    };
  }

  begin(row: number, start: number, values: Float32Array): void {
    this.#at = row * this.#inputs + start;
    this.#step = Math.fround(largest(values) / 127);
    this.#scale[this.#at / values.length] = this.#step;
  }

  round(i: number, value: number): number {
    const code = byteOf(value, this.#step);
    this.#codes[this.#at + i] = code + 128;
    return code * this.#step;
  }
}

/** Codes u8 [N, G, size/2], f32 scales [N, G] and zero codes [N, ⌈G/2⌉], those of least squared error for each group's values. */
export class NibbleRounder implements GroupRounder {
  readonly result: NibbleMatrix;
  readonly #codes: Uint8Array;
  readonly #scale: Float32Array;
  readonly #zero: Uint8Array;
  readonly #inputs: number;
  readonly #zeros: number;
  readonly #values: Float32Array;
  readonly #fit: BlockFit;
  #step = 0;
  #at = 0;

  /** @param importance [K]: what an error in each input counts */
  constructor([outputs, inputs]: readonly [number, number], size: number, importance: Float32Array) {
    const groups = inputs / size;
    this.#inputs = inputs;
    this.#zeros = Math.ceil(groups / 2);
    this.#codes = new Uint8Array((outputs * inputs) / 2);
    this.#scale = new Float32Array(outputs * groups);
    this.#zero = new Uint8Array(outputs * this.#zeros);
    this.#values = new Float32Array(size);
    this.#fit = new BlockFit(this.#values, size, importance);
    this.result = {
      codes: hostTensor('u8', [outputs, groups, size / 2], this.#codes),
      scale: f32Tensor([outputs, groups], this.#scale),
      zero: hostTensor('u8', [outputs, this.#zeros], this.#zero),
    };
  }

  begin(row: number, start: number, values: Float32Array): void {
    const group = start / values.length;
    this.#values.set(values);
    this.#fit.run(0, start);
    this.#step = Math.fround(this.#fit.scale);
    this.#at = row * this.#inputs + start;
    this.#scale[this.#at / values.length] = this.#step;
    this.#zero[row * this.#zeros + (group >> 1)]! |= this.#fit.zero << (4 * (group & 1));
  }

  round(i: number, value: number): number {
    const { zero } = this.#fit;
    const code = this.#step === 0 ? zero : nibbleOf(value / this.#step + zero);
    this.#codes[(this.#at + i) >> 1]! |= code << (4 * (i & 1));
    return (code - zero) * this.#step;
  }
}

/** The nearest code from −127 to 127. */
function byteOf(value: number, step: number): number {
  return step === 0 ? 0 : Math.max(-127, Math.min(127, Math.round(value / step)));
}

function largest(values: Float32Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
