/** @file Rounding with compensation: as the paper's formulas have it, and better than rounding each weight by itself. */

import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { f32Tensor, type HostTensor, Rng } from '../../../src/core/index.ts';
import { Compensation } from '../../../src/engine/quantize/compensate.ts';
import { decode, type Encoded, encode } from '../../../src/engine/quantize/encode.ts';
import { InputRoots, type RootSpan, triangleOf } from '../../../src/engine/quantize/input-root.ts';
import { RootFile } from '../../../src/engine/quantize/root-file.ts';
import type { WeightFormat } from '../../../src/models/index.ts';

interface Golden {
  readonly unit: number;
  readonly rows: number[][];
  readonly weights: number[][];
  readonly forms: Readonly<
    Record<'rows' | 'int8' | 'int4', { readonly codes: number[][]; readonly steps: number[][] }>
  >;
}

const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../golden/gptq.json'), 'utf8'));
const tensorOf = (rows: readonly number[][]): HostTensor =>
  f32Tensor(
    [rows.length, rows[0]!.length],
    rows.flat().map(value => value * golden.unit),
  );

let roots: InputRoots;
let compensation: Compensation;

beforeAll(async () => {
  roots = await InputRoots.create();
  compensation = await Compensation.create();
});

afterAll(() => {
  roots[Symbol.dispose]();
  compensation[Symbol.dispose]();
});

describe('as numpy computes it from the inverse of H', () => {
  const weights = tensorOf(golden.weights);

  test.each([
    ['rows', 'w8a8'],
    ['int8', 'int8'],
    ['int4', 'int4'],
  ] as const)('%s', async (form, format) => {
    const { codes, steps } = golden.forms[form];
    const encoded = await compensation.encode(weights, format, await roots.of([tensorOf(golden.rows)]));
    const groups = steps.length;
    const expected = codes.flatMap((row, n) =>
      row.map((code, k) => code * steps[Math.floor((k * groups) / row.length)]![n]!),
    );
    const actual = decode(encoded, format);
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5);
  });
});

/** [R, K] of inputs that go together: a few directions hold most of them. */
function correlated(rng: Rng, rows: number, inputs: number, mixed: number): HostTensor {
  const mixing = Array.from({ length: mixed * inputs }, () => rng.normal());
  const data = new Float32Array(rows * inputs);
  for (let row = 0; row < rows; row++) {
    const hidden = Array.from({ length: mixed }, () => rng.normal());
    for (let k = 0; k < inputs; k++) {
      const sum = hidden.reduce((total, value, i) => total + value * mixing[i * inputs + k]!, 0);
      data[row * inputs + k] = sum + 0.3 * rng.normal();
    }
  }
  return f32Tensor([rows, inputs], data);
}

/** |X·(W − Ŵ)ᵀ| */
function lossOf(rows: HostTensor, matrix: HostTensor, encoded: Encoded, format: WeightFormat): number {
  const [outputs, inputs] = matrix.shape as [number, number];
  const rounded = decode(encoded, format);
  let sum = 0;
  for (let row = 0; row < rows.shape[0]!; row++) {
    for (let n = 0; n < outputs; n++) {
      let error = 0;
      for (let k = 0; k < inputs; k++) {
        const difference = Number(matrix.data[n * inputs + k]) - rounded[n * inputs + k]!;
        error += Number(rows.data[row * inputs + k]) * difference;
      }
      sum += error * error;
    }
  }
  return Math.sqrt(sum);
}

function randomMatrix(rng: Rng, outputs: number, inputs: number): HostTensor {
  return f32Tensor(
    [outputs, inputs],
    Array.from({ length: outputs * inputs }, () => rng.normal()),
  );
}

describe.each(['w8a8', 'int8', 'int4'] as const)('%s: loses less than plain rounding', format => {
  test.each([
    { mixed: 8, most: 0.75, span: undefined },
    { mixed: 96, most: 1.02, span: undefined },
    { mixed: 8, most: 0.85, span: 32 },
  ])('inputs of $mixed directions, spans of $span', async ({ mixed, most, span }) => {
    for (let seed = 0; seed < 6; seed++) {
      const rng = new Rng(seed);
      const rows = correlated(rng, 160, 96, mixed);
      const matrix = randomMatrix(rng, 12, 96);
      const compensated = await compensation.encode(matrix, format, await roots.of([rows], undefined, span));
      const plain = encode(matrix, format);
      expect(lossOf(rows, matrix, compensated, format)).toBeLessThan(most * lossOf(rows, matrix, plain, format));
    }
  });
});

test('rows of no whole groups, outputs of zeros, inputs that are always 0', async () => {
  const rng = new Rng(3);
  const rows = correlated(rng, 50, 41, 4);
  const matrix = randomMatrix(rng, 5, 41);
  for (let row = 0; row < 50; row++) (rows.data as Float32Array)[row * 41 + 7] = 0;
  (matrix.data as Float32Array).fill(0, 41, 82);
  const rounded = decode(await compensation.encode(matrix, 'w8a16', await roots.of([rows])), 'w8a16');
  expect(rounded.every(Number.isFinite)).toBe(true);
  expect(rounded.subarray(41, 82)).toEqual(new Float32Array(41));
  const still = await roots.of([f32Tensor([3, 41], new Float32Array(3 * 41))]);
  expect(decode(await compensation.encode(matrix, 'w8a16', still), 'w8a16')).toEqual(
    decode(encode(matrix, 'w8a16'), 'w8a16'),
  );
});

describe('the triangle of inputs', () => {
  test('M·Mᵀ is Xᵀ·X shrunk towards its diagonal, of rows in units of their size and inputs divided by their factors', async () => {
    const [a, b] = [correlated(new Rng(1), 9, 40, 3), correlated(new Rng(2), 7, 40, 3)];
    const factors = Float32Array.from({ length: 40 }, (_, k) => 1 + (k % 5));
    const [span] = await roots.of([a, b], factors);
    const gram = (i: number, j: number): number => {
      let sum = 0;
      for (const { data, shape } of [a, b]) {
        for (let row = 0; row < shape[0]!; row++) {
          const values = Array.from(data.subarray(row * 40, (row + 1) * 40), Number);
          const power = values.reduce((total, value) => total + value * value, 0) / 40;
          sum += (values[i]! * values[j]!) / power;
        }
      }
      return sum / (factors[i]! * factors[j]!);
    };
    const mean = Array.from({ length: 40 }, (_, i) => gram(i, i)).reduce((sum, value) => sum + value) / 40;
    for (let i = 0; i < 40; i++) {
      for (let j = 0; j <= i; j++) {
        const expected = gram(i, j) * (i === j ? 1 + 1e-4 * (mean / gram(i, i)) : 16 / (16 + 40));
        expect(Math.abs(product(span!, i, j) - expected)).toBeLessThan(1e-4 * mean);
      }
    }
  });

  test('spans cover all inputs, in whole groups but for the last', async () => {
    const spans = await roots.of([correlated(new Rng(1), 3, 200, 2)], undefined, 64);
    expect(spans.map(({ start, size }) => [start, size])).toEqual([
      [0, 64],
      [64, 64],
      [128, 64],
      [192, 8],
    ]);
  });

  test('waits in a file, which goes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'llava-roots-'));
    const spans = [64, 8].map((size, i) => ({
      start: 64 * i,
      size,
      columns: triangleOf(
        Float32Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 4 : 1)),
        size,
        0,
      ),
    }));
    {
      await using file = await RootFile.create(folder);
      await file.add(['other'], [spans[1]!]);
      await file.add(['q', 'k'], spans);
      expect(await file.of('k')).toEqual(spans);
      expect(await file.of('v')).toBeUndefined();
    }
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });
});

/** (M·Mᵀ)_ij for j ≤ i: M is upper, so its columns from i on. */
function product({ size, columns }: RootSpan, i: number, j: number): number {
  let sum = 0;
  for (let c = i; c < size; c++) sum += columns[(c * (c + 1)) / 2 + i]! * columns[(c * (c + 1)) / 2 + j]!;
  return sum;
}
