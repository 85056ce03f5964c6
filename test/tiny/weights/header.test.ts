/** @file Safetensors headers: the reference library's verdict on hostile files, and random damage. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DType, dtypeSize, Rng, sizeOf } from '../../../src/core/index.ts';
import {
  type Header,
  openSafetensors,
  parseHeader,
  parseHeaderLength,
  readTensor,
} from '../../../src/weights/index.ts';
import { container, GOLDEN, readGolden, refusal, temporaryFile } from './helpers.ts';

function parse(bytes: Uint8Array): Header {
  const length = parseHeaderLength(bytes.subarray(0, 8), bytes.length, 'test');
  return parseHeader(bytes.subarray(8, 8 + length), bytes.length - 8 - length, 'test');
}

interface HeaderGolden {
  readonly cases: readonly { readonly name: string; readonly accepted: boolean; readonly bytes: string }[];
}

/** Files that the Rust reader accepts and we refuse, with what our error must say. */
const STRICTER: Readonly<Record<string, RegExp>> = {
  'metadata null': /expected an object of strings for __metadata__, got "null}"/,
  'metadata key twice': /expected each metadata key once, got "a" again/,
  'leading space': /header character 0: expected "{", got " /,
  'unknown field': /dtype, shape and data_offsets, once each, for tensor "a", got "extra"/,
  '8-bit float': /expected a dtype of U64, .*, got "F8_E4M3"/,
  'name twice, same range': /expected each name once, got "a" again/,
  'name twice, two dtypes': /expected each name once, got "a" again/,
  'name twice, one escaped': /expected each name once, got "a" again/,
};

test.each(readGolden<HeaderGolden>('headers.json').cases)('reference verdict: $name', ({ name, accepted, bytes }) => {
  const message = refusal(() => parse(Buffer.from(bytes, 'base64')));
  if (STRICTER[name]) expect(message).toMatch(STRICTER[name]);
  else if (accepted) expect(message).toBeUndefined();
  else expect(message).toMatch(/^test: .*expected [^\n]+, got [^\n]+$/);
});

test('errors name the tensor, the expected and the found', () => {
  const at = (fields: string, bytes: number): string | undefined =>
    refusal(() => parse(container(`{"w":{${fields}}}`, new Uint8Array(bytes))));
  expect(at('"dtype":"F16","shape":[2,3],"data_offsets":[0,16]', 16)).toBe(
    'test: tensor "w": expected data_offsets [begin, end] of 12 bytes for f16 [2,3], got [0,16]',
  );
  expect(at('"dtype":"U8","shape":[4],"data_offsets":[4,8]', 8)).toBe(
    'test: tensor "w": expected data from 0 on, got 4 (a hole)',
  );
  expect(at('"dtype":"U8","shape":[4],"data_offsets":[0,4]', 8)).toBe(
    'test: expected 4 bytes of data after the header, got 8',
  );
  expect(at('"dtype":"U8","shape":[-4],"data_offsets":[0,4]', 4)).toBe(
    'test: header character 28: expected a whole number from 0 to 2^53-1 in shape, got "-4],\\"data_offsets\\":["',
  );
});

test('a length beyond the file or 100 MB is refused before anything is allocated', () => {
  const prefix = (length: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(length).buffer);
  expect(refusal(() => parseHeaderLength(prefix(101n), 108, 'f'))).toBe(
    'f: expected a safetensors header of at most 100 bytes, got 101',
  );
  expect(refusal(() => parseHeaderLength(prefix(100_000_001n), 2 ** 40, 'f'))).toContain('at most 100000000 bytes');
  expect(parseHeaderLength(prefix(100_000_000n), 2 ** 40, 'f')).toBe(100_000_000);
});

test('headers built to exhaust memory or the stack are refused in passing', () => {
  const size = 1_000_000;
  const floods = [
    '['.repeat(size),
    `{"a":${'['.repeat(size)}`,
    `{"a":{"dtype":"F32","shape":[${'1,'.repeat(size / 2)}`,
    `{"a":{"dtype":"F32","shape":[${'9'.repeat(size)}],"data_offsets":[0,4]}}`,
    `{"${'\\u0041'.repeat(size / 6)}":1}`,
    `{"a":{"${'x'.repeat(size)}":1}}`,
  ];
  for (const json of floods) expect(refusal(() => parse(container(json)))?.length).toBeLessThan(500);
});

/** What every accepted header must satisfy, whatever the bytes were. */
function checkAccepted({ tensors }: Header, dataBytes: number): void {
  let covered = 0;
  for (const { dtype, shape, begin, end } of tensors) {
    if (begin !== covered || end - begin !== sizeOf(shape) * dtypeSize(dtype)) throw new Error('broken tiling');
    covered = end;
  }
  if (covered !== dataBytes) throw new Error('broken cover');
}

function parseAndCheck(bytes: Uint8Array): boolean {
  return (
    refusal(() => {
      const header = parse(bytes);
      checkAccepted(header, header.tensors.at(-1)?.end ?? 0);
    }) === undefined
  );
}

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '-',
  '0',
  '9',
  '1e3',
  'null',
  '"a":',
  '"dtype"',
  '[0,0]',
  '\0',
  '\u00ff',
];

/** Damages a copy: bits, bytes, tokens of the grammar, moved, doubled and lost stretches. */
function damage(original: Uint8Array, rng: Rng): Uint8Array {
  let bytes = Buffer.from(original);
  for (let edits = 1 + rng.int(3); edits > 0; edits--) {
    const at = rng.int(bytes.length);
    const to = Math.min(bytes.length, at + rng.int(20));
    const kind = rng.int(5);
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << rng.int(8));
    else if (kind === 1) bytes[at] = rng.int(256);
    else if (kind === 2)
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(rng.pick(TOKENS)), bytes.subarray(at)]);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    else bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
  }
  if (rng.int(2) === 0 && bytes.length >= 8)
    bytes.writeBigUInt64LE(BigInt(Math.max(0, bytes.length - 8 - rng.int(40))));
  return bytes;
}

const SEED_FILES = [
  readFileSync(join(GOLDEN, 'dtypes.safetensors')),
  readFileSync(join(GOLDEN, 'sharded/model-00001-of-00003.safetensors')),
  container('{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}', new Uint8Array(3)),
];

test('30,000 damaged files: an error or a consistent header, never anything else', () => {
  const rng = new Rng(1);
  let accepted = 0;
  for (let i = 0; i < 30_000; i++) if (parseAndCheck(damage(SEED_FILES[i % 3]!, rng))) accepted++;
  expect(accepted).toBeGreaterThan(100);
  expect(accepted).toBeLessThan(29_000);
});

test('truncation at every byte is refused', () => {
  for (const file of SEED_FILES) {
    for (let length = 0; length < file.length; length++) expect(parseAndCheck(file.subarray(0, length))).toBe(false);
    expect(parseAndCheck(file)).toBe(true);
  }
});

test('damaged files on disk are refused, or every tensor can be read', () => {
  const rng = new Rng(2);
  let opened = 0;
  for (let i = 0; i < 200; i++) {
    const path = temporaryFile('x.safetensors', damage(SEED_FILES[i % 3]!, rng));
    const message = refusal(() => {
      for (const entry of openSafetensors(path).entries.values()) readTensor(entry);
      opened++;
    });
    if (message !== undefined) expect(message).toContain(path);
  }
  expect(opened).toBeGreaterThan(2);
});

test('random bytes and random text never crash the parser', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => void refusal(() => parse(bytes))),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), fc.nat(32), (json, size) => {
      refusal(() => parse(container(json, new Uint8Array(size))));
    }),
    { numRuns: 2000 },
  );
});

test('any sizes: accepted exactly when they are consistent', () => {
  const dims = fc.array(fc.oneof(fc.nat(4), fc.constantFrom(2 ** 31, 2 ** 52, 2 ** 53 - 1)), { maxLength: 4 });
  const dtypes = fc.constantFrom<readonly [string, DType]>(['F64', 'f64'], ['BF16', 'bf16'], ['BOOL', 'bool']);
  fc.assert(
    fc.property(dims, dtypes, fc.nat(64), fc.nat(64), (shape, [name, dtype], end, data) => {
      const json = JSON.stringify({ t: { dtype: name, shape, data_offsets: [0, end] } });
      const bytes = shape.reduce((product, dim) => product * BigInt(dim), BigInt(dtypeSize(dtype)));
      const consistent = bytes === BigInt(end) && end === data;
      const accepted = refusal(() => parse(container(json, new Uint8Array(data)))) === undefined;
      // A zero behind dimensions too large to multiply is refused, as by the Rust reader.
      if (!(end === 0 && shape.some(dim => dim > 4))) expect(accepted).toBe(consistent);
    }),
    { numRuns: 3000 },
  );
});
