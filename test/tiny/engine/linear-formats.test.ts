/** @file Products in every stored form against f64, with a few inputs 60 times as large as the others, as language models have. */

import { expect, test } from 'vitest';
import { castFloat, f32Tensor, type HostTensor, Rng, toFloat32 } from '../../../src/core/index.ts';
import { decode, encode } from '../../../src/engine/quantize/encode.ts';
import { input } from '../../../src/graph/index.ts';
import type { WeightFormat } from '../../../src/models/index.ts';
import { linear, Scope } from '../../../src/nn/index.ts';
import { compileOutputs, run } from '../graph/harness.ts';

const [ROWS, INPUTS, OUTPUTS] = [8, 256, 48];
const rng = new Rng(5);
const normal = (shape: readonly number[], size: (i: number) => number = () => 1): HostTensor =>
  f32Tensor(
    shape,
    Array.from({ length: shape[0]! * shape[1]! }, (_, i) => size(i) * rng.normal()),
  );
const x = normal([ROWS, INPUTS], i => (i % 64 === 7 ? 60 : 1));
const weight = normal([OUTPUTS, INPUTS]);

/** x·Wᵀ in f64. */
function product(a: HostTensor, b: HostTensor): Float64Array {
  const [left, right] = [toFloat32(a), toFloat32(b)];
  return Float64Array.from({ length: ROWS * OUTPUTS }, (_, at) => {
    const [row, output] = [Math.floor(at / OUTPUTS), at % OUTPUTS];
    let sum = 0;
    for (let k = 0; k < INPUTS; k++) sum += left[row * INPUTS + k]! * right[output * INPUTS + k]!;
    return sum;
  });
}

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const distance = (values: Float64Array, exact: Float64Array): number =>
  norm(values.map((value, i) => value - exact[i]!)) / norm(exact);

async function errorOf(format: WeightFormat, exact = product(x, weight)): Promise<number> {
  const y = linear(new Scope('', () => format), input('x', 'f32', [ROWS, INPUTS]), OUTPUTS, { bias: false });
  const { codes, ...parts } = encode(weight, format);
  const named = Object.entries({ ...parts, [format === 'int4' ? 'int4' : 'int8']: codes });
  const weights = Object.fromEntries(named.map(([part, tensor]) => [`weight.${part}`, tensor]));
  using executable = await compileOutputs({ y }, name => ({ kind: 'host', tensor: weights[name]! }));
  return distance((await run(executable, { x })).y!.data, exact);
}

/** Error of the weights alone. */
const ofWeights = (format: WeightFormat): number =>
  distance(product(x, f32Tensor(weight.shape, decode(encode(weight, format), format))), product(x, weight));

test('two bytes of both are more exact than products of bf16', async () => {
  const bf16 = distance(product(castFloat(x, 'bf16'), castFloat(weight, 'bf16')), product(x, weight));
  expect(bf16).toBeGreaterThan(1e-3);
  expect(await errorOf('w16a16')).toBeLessThan(bf16 / 2);
});

test('two bytes of the inputs leave the error of the weights, one byte does not', async () => {
  expect(await errorOf('w8a16')).toBeLessThan(1.05 * ofWeights('w8a16'));
  expect(await errorOf('w8a8')).toBeGreaterThan(1.5 * ofWeights('w8a8'));
});

test.each(['w8a8', 'w8a16', 'w16a16', 'int8', 'int4'] as const)(
  '%s: what is stored is what is computed',
  async format => {
    const stored = f32Tensor(weight.shape, decode(encode(weight, format), format));
    // What is left is the rounding of the inputs: to 8 bits by row, to 16, to 8 by blocks.
    const limit = format === 'w8a8' ? 0.05 : format.startsWith('int') ? 0.02 : 2e-3;
    expect(await errorOf(format, product(x, stored))).toBeLessThan(limit);
  },
);

test('no byte of a weight is −128: arm64 processors add two products of it by −128 in 16 bits', () => {
  const words = f32Tensor(
    [1, 65_025],
    Float32Array.from({ length: 65_025 }, (_, i) => i - 32_512),
  );
  const { codes, low } = encode(words, 'w16a16');
  for (const bytes of [codes, low!]) expect(Math.min(...(bytes.data as Int8Array))).toBe(-127);
  const stored = decode(encode(words, 'w16a16'), 'w16a16');
  const errors = stored.map((value, i) => Math.abs(value - Number(words.data[i])));
  expect(Math.max(...errors)).toBeLessThan(1.01);
});
