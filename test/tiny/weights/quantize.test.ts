/** @file Matrices in whole numbers: how far they are from what they stand for, and their layouts. */

import { describe, expect, test } from 'vitest';
import { castFloat, f32Tensor, type HostTensor, Rng } from '../../../src/core/index.ts';
import { quantizeBlocksOf, quantizeRowsOf } from '../../../src/weights/index.ts';

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

describe.each([4, 8] as const)('quantizeBlocksOf, %i bits', bits => {
  const source = matrix(6, 96);
  const { codes, scale } = quantizeBlocksOf(source, bits, 32);

  test('layout', () => {
    expect(codes).toMatchObject({ dtype: 'u8', shape: [6, 3, (32 * bits) / 8] });
    expect(scale).toMatchObject({ dtype: 'f32', shape: [6, 3] });
  });

  test('within half a step, and a whole one where 4 bits have no code for the other sign', () => {
    for (const [i, value] of source.data.entries()) {
      const byte = Number(codes.data[Math.floor((i * bits) / 8)]);
      const code = bits === 8 ? byte : (byte >> (4 * (i % 2))) & 15;
      const step = Number(scale.data[Math.floor(i / 32)]);
      const error = Math.abs((code - 2 ** (bits - 1)) * step - Number(value));
      expect(error).toBeLessThanOrEqual(Math.abs(step) * (code === 2 ** bits - 1 ? 1.00001 : 0.50001));
    }
  });

  test('refuses rows that are no whole blocks', () => {
    expect(() => quantizeBlocksOf(matrix(2, 40), bits, 32)).toThrow('internal: quantizeBlocksOf: 40 inputs');
  });
});
