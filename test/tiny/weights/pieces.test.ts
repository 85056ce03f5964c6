import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostTensor, tensorBytes } from '../../../src/core/index.ts';
import { type ComputedTensor, readPieces, type TensorEntry } from '../../../src/weights/index.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';

const whole = hostTensor(
  'f16',
  [3, 5],
  Uint16Array.from({ length: 15 }, (_, i) => 1000 * i),
);
const pieces = [[0, 1000, 2000, 3000, 4000, 5000, 6000], [7000, 8000, 9000, 10000, 11000, 12000, 13000], [14000]];

const read = (entry: TensorEntry | ComputedTensor) =>
  Array.from(readPieces(entry, 7), ({ dtype, shape, data }) => ({ dtype, shape, data: Array.from(data, Number) }));
const expected = pieces.map(data => ({ dtype: 'f16', shape: [data.length], data }));

test('of a stored tensor, at an odd place of its file', () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'weights');
  writeFileSync(file, Buffer.concat([new Uint8Array(3), tensorBytes(whole), new Uint8Array(9)]));
  expect(read({ name: 'w', dtype: 'f16', shape: [3, 5], file, offset: 3, byteLength: 30 })).toEqual(expected);
  const entry: TensorEntry = { name: 'w', dtype: 'f16', shape: [3, 5], file, offset: 13, byteLength: 30 };
  expect(() => read(entry)).toThrow('expected 43 bytes for tensor "w", got 42');
});

test('of a computed tensor', () => {
  const entry = { name: 'w', dtype: 'f16', shape: [3, 5], file: 'f', storedBytes: 0, compute: () => whole } as const;
  expect(read(entry)).toEqual(expected);
});
