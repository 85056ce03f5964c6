/** @file Products of bytes at the ends of their ranges, where sums of two do not fit 16 bits, as both kinds of kernels make them. */

import { describe, expect, test } from 'vitest';
import { f32Tensor, hostTensor } from '../../../src/core/index.ts';
import { buildGraph, dim, emitOnnx, input, integerMatMul, param } from '../../../src/graph/index.ts';
import { multipliesBytes, multipliesBytesExactly } from '../../../src/runtime/byte-products.ts';
import { createSession } from '../../../src/runtime/create-session.ts';
import { compile, Executable } from '../../../src/runtime/index.ts';
import { addModel } from './onnx-bytes.ts';

const [INPUTS, OUTPUTS] = [72, 20];

const model = (weight: Int8Array) =>
  emitOnnx(
    buildGraph({
      y: integerMatMul(
        input('x', 'u8', [dim('R'), INPUTS]),
        param('w', [INPUTS, OUTPUTS], 'i8'),
        param('s', [OUTPUTS]),
      ),
    }),
    ({ name }) => ({
      kind: 'host',
      tensor:
        name === 'w'
          ? hostTensor('i8', [INPUTS, OUTPUTS], weight)
          : f32Tensor([OUTPUTS], new Float32Array(OUTPUTS).fill(1)),
    }),
  );

const codes = Uint8Array.from({ length: 7 * INPUTS }, (_, i) => [255, 255, 0, 0, 255, 3, 128][i % 7]!);

/** (a − 128)·B over the first rows of the codes. */
function exactly(rows: number, weight: Int8Array): number[] {
  return Array.from({ length: rows * OUTPUTS }, (_, at) => {
    const [row, column] = [Math.floor(at / OUTPUTS), at % OUTPUTS];
    let sum = 0;
    for (let k = 0; k < INPUTS; k++) sum += (codes[row * INPUTS + k]! - 128) * weight[k * OUTPUTS + column]!;
    return sum;
  });
}

async function products(executable: Executable, rows: number): Promise<number[]> {
  const { y } = await executable.run({ x: hostTensor('u8', [rows, INPUTS], codes.slice(0, rows * INPUTS)) });
  using product = y!;
  return Array.from(product.read().data, Number);
}

describe.each<[string, (i: number) => number]>([
  ['127', () => 127],
  ['−127', () => -127],
  ['both', i => (i % 3 === 0 ? -127 : 127)],
])('weights of %s', (_name, at) => {
  const weight = Int8Array.from({ length: INPUTS * OUTPUTS }, (_, i) => at(i));

  test.each([1, 2, 7])('are exact here, %s rows', async rows => {
    using executable = await compile(model(weight), { threads: 1 });
    expect(await products(executable, rows)).toEqual(exactly(rows, weight));
  });

  test.each([1, 2, 7])('are exact as on processors whose kernels for u8 by i8 are not, %s rows', async rows => {
    const session = await createSession(model(weight), { threads: 1, exactBytes: false });
    using executable = new Executable('u8', model(weight), session);
    expect(await products(executable, rows)).toEqual(exactly(rows, weight));
  });
});

test('the processor is only tried for models that multiply bytes', () => {
  expect(multipliesBytes(model(new Int8Array(INPUTS * OUTPUTS)))).toBe(true);
  expect(multipliesBytes(addModel())).toBe(false);
});

test('processors with VNNI are exact as they are', async context => {
  const { readFileSync, existsSync } = await import('node:fs');
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  context.skip(!/\b(avx512_vnni|avx_vnni|amx_int8)\b/.test(flags), 'it is not known that this one has it');
  expect(await multipliesBytesExactly()).toBe(true);
});
