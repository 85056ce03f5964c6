/** @file GGUF headers: a file of the reference writer, what is refused and why, random damage. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toFloat32 } from '../../../src/core/index.ts';
import { memorySource, openGguf, parseGgufHeader, readTensor } from '../../../src/weights/index.ts';
import { refusal, temporaryFile } from '../weights/helpers.ts';
import { entry, ggufBytes, tensor, text, u32, u64 } from './build.ts';
import { fuzzGguf } from './fuzz.ts';
import { floatsOf, GOLDEN, golden } from './helpers.ts';

const SMALL = join(GOLDEN, 'small.gguf');

test("reads what the reference's writer wrote: every type of metadata", () => {
  const { version, metadata, fields } = openGguf(SMALL);
  expect(version).toBe(3);
  const values = Object.fromEntries(
    [...metadata].map(([key, value]) => [
      key,
      value.type === 'array' ? Array.from<unknown>(value.values) : value.value,
    ]),
  );
  expect(values).toEqual({
    'general.architecture': 'llama',
    'n.u8': 200,
    'n.i8': -100,
    'n.u16': 60000,
    'n.i16': -30000,
    'n.u32': 4000000000,
    'n.i32': -2000000000,
    'n.u64': 2n ** 63n + 1n,
    'n.i64': -(2 ** 40),
    'n.f32': Math.fround(1e-5),
    'n.f64': 0.1,
    'n.bool': true,
    'n.string': 'grüße 数',
    'n.strings': ['a', '', '▁b'],
    'n.ints': [1, -2, 3],
    'n.floats': [Math.fround(0.48145466), Math.fround(0.4578275)],
    'n.bools': [1, 0],
  });
  expect(fields.number('n.f32')).toBe(1e-5);
  expect(fields.numbers('n.floats')).toEqual([0.48145467, 0.4578275]); // the same f32 as 0.48145466
});

test('reads its tensors, shapes as NumPy has them', () => {
  const { entries } = openGguf(SMALL);
  expect([...entries.keys()].sort()).toEqual(Object.keys(golden.small).sort());
  for (const [name, { shape, f32 }] of Object.entries(golden.small)) {
    const read = readTensor(entries.get(name)!);
    expect(read.shape).toEqual(shape);
    expect([...toFloat32(read)]).toEqual([...floatsOf(f32)]);
  }
});

const parse = (bytes: Uint8Array) => parseGgufHeader(memorySource(bytes), 'f.gguf');
const ONE = [tensor('w', [4], 0, 0)];

test.each<[string, Uint8Array, string]>([
  ['nothing', new Uint8Array(0), 'byte 0: expected a GGUF file, got 0 bytes'],
  [
    'another magic',
    ggufBytes({ magic: 0x46544747 }),
    'byte 4: expected a GGUF file, got a file that begins with 0x46544747',
  ],
  ['version 1', ggufBytes({ version: 1 }), 'byte 8: expected GGUF version 2 or 3, got version 1'],
  [
    'big-endian',
    ggufBytes({ version: 3 << 24 }),
    'byte 8: expected GGUF version 2 or 3, got a file for big-endian machines',
  ],
  [
    'more tensors than bytes',
    ggufBytes({ tensorCount: 2n ** 63n }),
    'byte 16: expected at most 0 as number of tensors, got 9223372036854775808',
  ],
  [
    'more entries than bytes',
    ggufBytes({ entryCount: 10 ** 9 }),
    'byte 24: expected at most 0 as number of metadata entries, got 1000000000',
  ],
  [
    'a key longer than the file',
    ggufBytes({ entries: [Buffer.concat([u64(2n ** 40n), Buffer.alloc(16)])] }),
    'byte 32: expected at most 32 as length of a metadata key, got 1099511627776',
  ],
  [
    'a long array',
    ggufBytes({ entries: [entry('k', 9, u32(0), u64(2n ** 62n))] }),
    'byte 49: expected at most 15 as length of k, got 4611686018427387904',
  ],
  [
    'a long list of texts',
    ggufBytes({ entries: [entry('k', 9, u32(8), u64(1000))] }),
    'byte 49: expected at most 1 as length of k, got 1000',
  ],
  [
    'an array of arrays',
    ggufBytes({ entries: [entry('k', 9, u32(9), u64(0))] }),
    'byte 41: expected plain values in k, got an array of arrays',
  ],
  [
    'an unknown type',
    ggufBytes({ entries: [entry('k', 13)], dataBytes: 32 }),
    'byte 37: expected a value type from 0 to 12 for k, got 13',
  ],
  [
    'a key twice',
    ggufBytes({ entries: [entry('k', 7, Buffer.of(1)), entry('k', 7, Buffer.of(1))] }),
    'byte 47: expected each metadata key once, got "k" again',
  ],
  [
    'a tensor twice',
    ggufBytes({ tensors: [...ONE, ...ONE], dataBytes: 64 }),
    'byte 66: expected each tensor name once, got "w" again',
  ],
  [
    'no dimensions',
    ggufBytes({ tensors: [tensor('w', [], 0, 0)], dataBytes: 32 }),
    'byte 37: expected 1 to 4 dimensions of w, got 0',
  ],
  [
    'many dimensions',
    ggufBytes({ tensors: [tensor('w', [1, 1, 1, 1, 1], 0, 0)] }),
    'byte 37: expected 1 to 4 dimensions of w, got 5',
  ],
  [
    'an unknown element type',
    ggufBytes({ tensors: [tensor('w', [4], 16, 0)], dataBytes: 16 }),
    'tensor "w": expected a type of F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, I8, I16, I32, I64, F64, BF16, got number 16',
  ],
  [
    'no elements',
    ggufBytes({ tensors: [tensor('w', [4, 0], 0, 0)] }),
    'tensor "w": expected elements for F32, got dimensions [4,0]',
  ],
  [
    'half a block',
    ggufBytes({ tensors: [tensor('w', [48, 2], 8, 0)] }),
    'tensor "w": expected rows of a multiple of 32 elements for Q8_0, got dimensions [48,2]',
  ],
  [
    'an absurd shape',
    ggufBytes({ tensors: [tensor('w', [2n ** 63n, 2n ** 63n], 0, 0)] }),
    'tensor "w": expected elements for F32, got dimensions [9223372036854775808,9223372036854775808]',
  ],
  [
    'data past the end',
    ggufBytes({ tensors: ONE, dataBytes: 15 }),
    'tensor "w": expected 16 bytes in the file, got offset 64 of a file of 79 bytes',
  ],
  [
    'an absurd offset',
    ggufBytes({ tensors: [tensor('w', [4], 0, 2n ** 64n - 32n)] }),
    'tensor "w": expected 16 bytes in the file, got offset 18446744073709551648 of a file of 64 bytes',
  ],
  [
    'an unaligned offset',
    ggufBytes({ tensors: [tensor('w', [4], 0, 16)], dataBytes: 64 }),
    'tensor "w": expected an offset that is a multiple of 32, got 16',
  ],
  [
    'overlap',
    ggufBytes({ tensors: [tensor('v', [4, 4], 0, 0), tensor('w', [4], 0, 32)], dataBytes: 64 }),
    'tensor "w": expected data from 192 on, got 160 (overlap)',
  ],
  [
    'alignment 0',
    ggufBytes({ entries: [entry('general.alignment', 4, u32(0))] }),
    'expected general.alignment to be a power of two up to 2^20, got 0',
  ],
  [
    'alignment as text',
    ggufBytes({ entries: [entry('general.alignment', 8, text('32'))] }),
    'expected general.alignment to be a power of two up to 2^20, got a value of type string',
  ],
])('refuses %s', (_, bytes, message) => {
  expect(refusal(() => parse(bytes))).toBe(`f.gguf: ${message}`);
});

test('version 2, gaps and an alignment of its own are fine', () => {
  const tensors = [tensor('w', [4], 0, 64), tensor('v', [2, 3], 1, 0)];
  const { tensors: read } = parse(
    ggufBytes({ version: 2, entries: [entry('general.alignment', 4, u32(8))], tensors, dataBytes: 96 }),
  );
  expect(read.map(({ name, shape, byteLength }) => [name, shape, byteLength])).toEqual([
    ['w', [4], 16],
    ['v', [3, 2], 12],
  ]);
});

test('a file that is none is named', () => {
  const path = temporaryFile('a.gguf', 'hello there');
  expect(refusal(() => openGguf(path))).toBe(
    `${path}: byte 4: expected a GGUF file, got a file that begins with 0x6c6c6568`,
  );
  expect(refusal(() => openGguf(`${path}.none`))).toMatch(/a\.gguf\.none: expected a GGUF file, got ENOENT/);
});

test('a tensor of a file that has shrunk since is refused', () => {
  const path = temporaryFile('a.gguf', readFileSync(SMALL));
  const entry = openGguf(path).entries.get('q8_0')!;
  expect(readTensor(entry).shape).toEqual([2, 64]);
  const { offset } = openGguf(path).tensors.find(({ name }) => name === 'q8_0')!;
  const shrunk = temporaryFile('a.gguf', readFileSync(SMALL).subarray(0, offset + 40));
  expect(refusal(() => openGguf(shrunk))).toMatch(/tensor "q8_0": expected 136 bytes in the file/);
});

test('2,000 damaged files: read or refused, in bounded memory', () => {
  const { refused, read } = fuzzGguf(readFileSync(SMALL), 2000, 1);
  expect(refused + read).toBe(2000);
  expect(refused).toBeGreaterThan(800);
});
