/** @file Matrices in whole numbers: how far they are from what they stand for, and their layouts. */

import { describe, expect, test } from 'vitest';
import { castFloat, f32Tensor, type HostTensor, Rng } from '../../../src/core/index.ts';
import { quantizeBytesOf, quantizeNibblesOf, quantizeRowsOf } from '../../../src/weights/index.ts';

/** [N, K] of normal numbers, rows of very different sizes, one of zeros. */
function matrix(outputs: number, inputs: number): HostTensor {
  const rng = new Rng(outputs * 1000 + inputs);
  const size = (row: number): number => (row === 1 ? 0 : 10 ** (row % 5));
  return f32Tensor(
    [outputs, inputs],
    Array.from({ length: outputs * inputs }, (_, i) => size(Math.floor(i / inputs)) * rng.normal()),
  );
}

describe('quantizeRowsOf', () => {
  test.each([
    [3, 5],
    [70, 130],
    [64, 64],
  ])('%i × %i: within half a step, transposed', (outputs, inputs) => {
    const source = matrix(outputs, inputs);
    const { codes, scale } = quantizeRowsOf(source);
    expect(codes).toMatchObject({ dtype: 'i8', shape: [inputs, outputs] });
    for (let row = 0; row < outputs; row++) {
      const step = Number(scale.data[row]);
      for (let k = 0; k < inputs; k++) {
        const error = Number(codes.data[k * outputs + row]) * step - Number(source.data[row * inputs + k]);
        expect(Math.abs(error)).toBeLessThanOrEqual(step * 0.50001);
      }
    }
  });

  test('the largest of a row becomes 127 or −127', () => {
    const { codes } = quantizeRowsOf(f32Tensor([2, 3], [1, -4, 2, 3, 0, -1]));
    expect([...codes.data].map(Number)).toEqual([32, 127, -127, 0, 64, -42]);
  });

  test('16-bit floats are read as what they mean', () => {
    const half = castFloat(matrix(4, 8), 'bf16');
    expect(quantizeRowsOf(half).codes.data).toEqual(quantizeRowsOf(castFloat(half, 'f32')).codes.data);
  });
});

describe('quantizeBytesOf', () => {
  const source = matrix(6, 96);
  const { codes, scale } = quantizeBytesOf(source, 32);

  test('layout', () => {
    expect(codes).toMatchObject({ dtype: 'u8', shape: [6, 3, 32] });
    expect(scale).toMatchObject({ dtype: 'f32', shape: [6, 3] });
  });

  test('within half a step', () => {
    for (const [i, value] of source.data.entries()) {
      const step = Number(scale.data[Math.floor(i / 32)]);
      const error = Math.abs((Number(codes.data[i]) - 128) * step - Number(value));
      expect(error).toBeLessThanOrEqual(step * 0.50001);
    }
  });

  test('refuses rows that are no whole blocks', () => {
    expect(() => quantizeBytesOf(matrix(2, 40), 32)).toThrow('internal: quantize: 40 inputs');
  });
});

describe('quantizeNibblesOf', () => {
  const source = matrix(6, 96);
  const rounded = quantizeNibblesOf(source, 32);

  test('layout: two codes to a byte, zero codes of three blocks in two', () => {
    expect(rounded.codes).toMatchObject({ dtype: 'u8', shape: [6, 3, 16] });
    expect(rounded.scale).toMatchObject({ dtype: 'f32', shape: [6, 3] });
    expect(rounded.zero).toMatchObject({ dtype: 'u8', shape: [6, 2] });
  });

  test('a row of zeros stays one, and 0 has a code in each block', () => {
    expect(meaning(rounded).slice(96, 192)).toEqual(new Float32Array(96));
    const sparse = f32Tensor([1, 32], [5, 9, ...Array<number>(30).fill(0)]);
    expect([...meaning(quantizeNibblesOf(sparse, 32)).slice(2)].every(value => value === 0)).toBe(true);
  });

  test('nearer than blocks without zero codes, whose 16 steps of the largest magnitude go from −8 to 7', () => {
    const plain = (values: Float32Array): number[] => {
      const extreme = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
      const step = extreme / -8 || 1;
      return Array.from(values, value => Math.max(-8, Math.min(7, Math.round(value / step))) * step);
    };
    const data = source.data as Float32Array;
    const blocks = Array.from({ length: 18 }, (_, i) => data.subarray(32 * i, 32 * i + 32));
    expect(squaredError(meaning(rounded), data)).toBeLessThan(0.9 * squaredError(blocks.flatMap(plain), data));
  });

  test('errors of inputs that count more are smaller', () => {
    const importance = Float32Array.from({ length: 96 }, (_, k) => (k % 8 === 0 ? 100 : 1));
    const weighed = quantizeNibblesOf(source, 32, importance);
    const important = (values: ArrayLike<number>): number[] => Array.from(values).filter((_, i) => i % 8 === 0);
    const error = (one: typeof rounded) =>
      squaredError(important(meaning(one)), important(source.data as Float32Array));
    expect(error(weighed)).toBeLessThan(0.9 * error(rounded));
  });
});

/** What the codes stand for. */
function meaning({ codes, scale, zero }: ReturnType<typeof quantizeNibblesOf>): Float32Array {
  const nibble = (tensor: HostTensor, i: number): number => (Number(tensor.data[i >> 1]) >> (4 * (i % 2))) & 15;
  const [, blocks] = scale.shape as [number, number];
  return Float32Array.from({ length: 2 * codes.data.length }, (_, i) => {
    const block = Math.floor(i / 32);
    const origin = nibble(zero, Math.floor(block / blocks) * 2 * zero.shape[1]! + (block % blocks));
    return (nibble(codes, i) - origin) * Number(scale.data[block]);
  });
}

/** Relative to the size of each row, so that none drowns the others. */
function squaredError(values: ArrayLike<number>, exact: ArrayLike<number>): number {
  const width = exact.length / 6;
  const rows = Array.from({ length: 6 }, (_, row) => {
    const indices = Array.from({ length: width }, (_, k) => row * width + k);
    const size = indices.reduce((sum, i) => sum + exact[i]! ** 2, 0);
    return size === 0 ? 0 : indices.reduce((sum, i) => sum + (values[i]! - exact[i]!) ** 2, 0) / size;
  });
  return rows.reduce((sum, error) => sum + error, 0);
}
