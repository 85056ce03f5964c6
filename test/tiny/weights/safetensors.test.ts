/** @file Safetensors files: values and bytes of the reference writer, round trips, failures of the disk. */

import { readFileSync, truncateSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  allocate,
  type DType,
  dtypeSize,
  f32Tensor,
  type HostTensor,
  hostTensor,
  isFloat,
  sizeOf,
  tensorBytes,
  toFloat32,
  viewBytes,
} from '../../../src/core/index.ts';
import {
  entrySource,
  openSafetensors,
  readTensor,
  type TensorSource,
  tensorSource,
  writeSafetensors,
} from '../../../src/weights/index.ts';
import { TORCH_DTYPES } from '../torch/helpers.ts';
import { container, GOLDEN, readGolden, refusal, temporaryFile, temporaryFolder } from './helpers.ts';

interface GoldenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly string[];
  readonly hex: string;
}

const TORCH_NAMES: Readonly<Record<string, DType>> = Object.fromEntries(
  Object.entries(TORCH_DTYPES).map(([ours, theirs]) => [theirs, ours as DType]),
);

const ALL_DTYPES = Object.values(TORCH_NAMES);
const GOLDEN_FILE = join(GOLDEN, 'dtypes.safetensors');

/** Elements as numbers or bigints, however they are held. */
function elements(tensor: HostTensor): readonly (number | bigint)[] {
  const held = isFloat(tensor.dtype) && tensor.dtype !== 'f64' ? toFloat32(tensor) : tensor.data;
  return Array.from<number | bigint>(held as ArrayLike<number | bigint>);
}

function parsePython(text: string): number | bigint {
  const named = { inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY, nan: Number.NaN, True: 1, False: 0 };
  return named[text as keyof typeof named] ?? Number(text);
}

test('reads what the reference library wrote: every dtype, odd names, scalar and empty tensors', () => {
  const { tensors } = readGolden<{ tensors: Record<string, GoldenTensor> }>('dtypes.json');
  const file = openSafetensors(GOLDEN_FILE);
  expect(file.metadata).toEqual({ format: 'pt' });
  expect([...file.entries.keys()].sort()).toEqual(Object.keys(tensors).sort());
  for (const [name, golden] of Object.entries(tensors)) {
    const tensor = readTensor(file.entries.get(name)!);
    expect(tensor.dtype).toBe(TORCH_NAMES[golden.dtype]);
    expect(tensor.shape).toEqual(golden.shape);
    expect(Buffer.from(tensorBytes(tensor)).toString('hex')).toBe(golden.hex);
    const wide = tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array;
    expect(elements(tensor)).toEqual(golden.values.map(wide ? BigInt : parsePython));
  }
});

test('entries are absolute and aligned to their elements', () => {
  const bytes = readFileSync(GOLDEN_FILE);
  for (const entry of openSafetensors(GOLDEN_FILE).entries.values()) {
    expect(entry.file).toBe(GOLDEN_FILE);
    expect(entry.offset % dtypeSize(entry.dtype)).toBe(0);
    const slice = bytes.subarray(entry.offset, entry.offset + entry.byteLength);
    expect(Buffer.from(tensorBytes(readTensor(entry))).equals(slice)).toBe(true);
  }
});

test('writes the bytes that the reference library writes, in whatever order tensors come', async () => {
  const { entries, metadata } = openSafetensors(GOLDEN_FILE);
  for (const order of [[...entries.values()], [...entries.values()].reverse()]) {
    const path = join(temporaryFolder(), 'out.safetensors');
    await writeSafetensors(
      path,
      order.map(entry => entrySource(entry)),
      { metadata },
    );
    expect(readFileSync(path).equals(readFileSync(GOLDEN_FILE))).toBe(true);
  }
});

const anyTensor = fc
  .tuple(fc.constantFrom(...ALL_DTYPES), fc.array(fc.nat(3), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const length = sizeOf(shape) * dtypeSize(dtype);
    const bytes = fc.uint8Array({ minLength: length, maxLength: length });
    return bytes.map(data => hostTensor(dtype, shape, viewBytes(dtype, data.slice())));
  });

const anyText = fc.string({ unit: 'grapheme', maxLength: 12 });

test('round trip of random tensors, names and metadata', async () => {
  const path = join(temporaryFolder(), 'x.safetensors');
  const names = anyText.filter(name => name !== '__metadata__');
  const tensors = fc.uniqueArray(fc.tuple(names, anyTensor), { selector: ([name]) => name, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(tensors, fc.dictionary(anyText, anyText, { maxKeys: 4 }), async (list, metadata) => {
      await writeSafetensors(
        path,
        list.map(([name, tensor]) => tensorSource(name, tensor)),
        { metadata },
      );
      const file = openSafetensors(path);
      expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata).sort());
      expect(file.entries.size).toBe(list.length);
      for (const [name, tensor] of list) {
        const back = readTensor(file.entries.get(name)!);
        expect([back.dtype, back.shape]).toEqual([tensor.dtype, tensor.shape]);
        expect(Buffer.compare(tensorBytes(back), tensorBytes(tensor))).toBe(0);
      }
    }),
    { numRuns: 100 },
  );
});

test('tensors are produced one at a time, in the order of the file', async () => {
  const calls: string[] = [];
  const source = (name: string, dtype: DType): TensorSource => ({
    name,
    dtype,
    shape: [2],
    read: async () => {
      calls.push(name);
      return hostTensor(dtype, [2], allocate(dtype, 2));
    },
  });
  const path = join(temporaryFolder(), 'x.safetensors');
  await writeSafetensors(path, [source('b', 'u8'), source('c', 'f32'), source('a', 'u8')]);
  expect(calls).toEqual(['c', 'a', 'b']);
});

test('a source that breaks its promise, or a name given twice, is our bug and leaves no file', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'x.safetensors');
  const good = tensorSource('a', f32Tensor([2], [1, 2]));
  await expect(writeSafetensors(path, [{ ...good, shape: [3] }])).rejects.toThrow('internal: tensor "a" is not what');
  await expect(writeSafetensors(path, [good, good])).rejects.toThrow('internal: tensor name "a" is taken');
  await expect(writeSafetensors(path, [{ ...good, name: '__metadata__' }])).rejects.toThrow('internal:');
  await expect(writeSafetensors(path, [{ ...good, name: '\ud800' }])).rejects.toThrow('internal:');
  expect(() => readFileSync(path)).toThrow('ENOENT');
});

test('a file that is missing, a folder, a device, or shorter than it was', () => {
  const folder = temporaryFolder();
  const missing = join(folder, 'none');
  expect(refusal(() => openSafetensors(missing))).toBe(
    `${missing}: expected a safetensors file, got ENOENT: no such file or directory`,
  );
  expect(refusal(() => openSafetensors(folder))).toBe(`${folder}: expected a safetensors file, got a folder`);
  if (process.platform === 'linux')
    expect(refusal(() => openSafetensors('/dev/zero'))).toContain('got a pipe or device');
  const path = temporaryFile(
    'x',
    container('{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', new Uint8Array(4)),
  );
  const entry = openSafetensors(path).entries.get('w')!;
  truncateSync(path, 63);
  expect(refusal(() => readTensor(entry))).toBe(`${path}: expected 65 bytes for tensor "w", got 63`);
  unlinkSync(path);
  expect(refusal(() => readTensor(entry))).toContain('got ENOENT');
});

test('a tensor larger than memory takes is refused, not a crash', () => {
  const size = 2 ** 50;
  const path = temporaryFile('x', container('{}'));
  truncateSync(path, 10);
  const entry = { name: 'w', dtype: 'u8', shape: [size], file: path, offset: -size, byteLength: size } as const;
  expect(refusal(() => readTensor(entry))).toMatch(
    /expected memory for tensor "w", u8 \[1125899906842624\], got Invalid/,
  );
});
