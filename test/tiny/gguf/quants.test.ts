/** @file ggml's blocks, bit for bit as the `gguf` package reads and writes them. */

import { expect, test } from 'vitest';
import { dequantise, quantise, TENSOR_TYPE_TABLE, type TensorTypeName } from '../../../src/weights/index.ts';
import { bytesOf, floatsOf, golden } from './helpers.ts';

test.each(Object.keys(golden.dequantised) as TensorTypeName[])('%s: the same bits', name => {
  const { blocks, f32 } = golden.dequantised[name]!;
  const expected = floatsOf(f32);
  const type = TENSOR_TYPE_TABLE.get(name)!;
  const { data } = dequantise(bytesOf(blocks), { type, shape: [expected.length / type.blockSize, type.blockSize] });
  expect(Buffer.from(data.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
});

test.each(['Q8_0', 'Q4_0'] as const)('%s: the same bytes written', name => {
  const bytes = quantise(name, floatsOf(golden.quantised.f32));
  expect(Buffer.from(bytes).toString('base64')).toBe(golden.quantised[name]);
});
