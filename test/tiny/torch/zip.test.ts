/** @file ZIP directories: those of other writers, and those that lie. */

import { expect, test } from 'vitest';
import { memorySource } from '../../../src/weights/byte-source.ts';
import { readZipDirectory, readZipRecord, type ZipRecord } from '../../../src/weights/torch/zip.ts';
import { type ZipFaults, zipOf } from './hand-made.ts';
import { refusal } from './helpers.ts';

const TWO = { 'a/x': Buffer.from('hello'), 'a/y': Buffer.from('world!') };

function contents(file: Buffer): Record<string, string> {
  const source = memorySource(file);
  const text = (record: ZipRecord): string => Buffer.from(readZipRecord(source, record, 'f', 100)).toString();
  return Object.fromEntries([...readZipDirectory(source, 'f')].map(([name, record]) => [name, text(record)]));
}

const refused = (file: Buffer): string | undefined => refusal(() => contents(file));
const withFaults = (faults: ZipFaults): string | undefined => refused(zipOf(TWO, faults));

test('records are found, behind a comment too', () => {
  const expected = { 'a/x': 'hello', 'a/y': 'world!' };
  expect(contents(zipOf(TWO))).toEqual(expected);
  expect(contents(zipOf(TWO, { comment: 'PK\x05\x06 is not the end' }))).toEqual(expected);
  expect(contents(zipOf({}))).toEqual({});
});

test('no directory', () => {
  const none = 'f: expected the directory at the end of a ZIP file, got none (a truncated file?)';
  expect(refused(Buffer.alloc(0))).toBe(none);
  expect(refused(Buffer.from('PK\x03\x04'))).toBe(none);
  const file = zipOf(TWO);
  for (let length = 0; length < file.length; length++)
    expect(refused(file.subarray(0, length)), `${length}`).toBe(none);
});

test('names that could leave a folder, and names given twice', () => {
  for (const name of ['/etc/passwd', '../x', 'a/../../x', '..', 'a\\b', 'C:x', 'a\0b', 'a\nb', '']) {
    const message = refused(zipOf({ [name]: Buffer.from('x') }));
    const shown = JSON.stringify(name.replace(/[\0\n]/, '\ufffd'));
    expect(message, name).toContain(`expected a plain relative name of a record, got ${shown}`);
  }
  const twice = zipOf({ 'a/x': Buffer.from('1'), 'a/y': Buffer.from('2') });
  for (const at of [twice.indexOf('a/y'), twice.lastIndexOf('a/y')]) twice.write('a/x', at);
  expect(refused(twice)).toBe('f: expected each record once, got "a/x" again');
});

test('records that overlap, reach out of the file or are not where they should be', () => {
  const second = (change: (entry: Buffer) => void): string | undefined =>
    withFaults({ entry: (entry, name) => name === 'a/y' && change(entry) });
  expect(second(entry => entry.writeUInt32LE(1000, 42))).toContain('expected record "a/y" before the directory at 77');
  expect(second(entry => entry.writeUInt32LE(0, 42))).toContain('expected the header of record "a/y" at byte 0');
  expect(second(entry => entry.fill(0, 24, 28).writeUInt32LE(7, 20) && entry.writeUInt32LE(7, 24))).toContain(
    'expected record "a/y" to end before byte 77, got 7 bytes at 71',
  );
  const first = withFaults({
    entry: (entry, name) => name === 'a/x' && entry.writeUInt32LE(39, 20) && entry.writeUInt32LE(39, 24),
  });
  expect(first).toBe('f: expected records apart from each other, got "a/y" within "a/x"');
});

test('unknown methods, encryption, sizes that differ', () => {
  expect(withFaults({ entry: entry => entry.writeUInt16LE(12, 10) })).toContain('stored or deflated, got method 12');
  expect(withFaults({ entry: entry => entry.writeUInt16LE(1, 8) })).toContain('in plain, got an encrypted one');
  expect(withFaults({ entry: entry => entry.writeUInt32LE(6, 24) })).toContain(
    'of at most 5 bytes when unpacked, got 6',
  );
  expect(withFaults({ entry: entry => entry.writeUInt32LE(0, 0) })).toContain('expected an entry of the ZIP directory');
});

test('directories of absurd size or place', () => {
  const ends = (change: (end: Buffer) => void): string | undefined => withFaults({ end: change });
  expect(ends(end => end.writeUInt32LE(4e9, 12))).toContain('expected a ZIP directory of at most 67108864 bytes');
  expect(ends(end => end.writeUInt32LE(4e9, 16))).toContain('got 98 at 4000000000');
  expect(ends(end => end.writeUInt16LE(60_000, 10))).toContain('expected 46 more bytes, got the');
  expect(ends(end => end.writeUInt16LE(0xffff, 10))).toContain('expected 46 more bytes, got the');
});

/** The same entry with all its sizes and its place in a zip64 field, behind a field of another kind. */
function zip64Entry(entry: Buffer): Buffer {
  const field = Buffer.alloc(28);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(24, 2);
  for (const [i, at] of [24, 20, 42].entries()) field.writeBigUInt64LE(BigInt(entry.readUInt32LE(at)), 4 + 8 * i);
  const other = Buffer.from('FB\x02\x00zz', 'latin1');
  const long = Buffer.concat([entry, other, field]);
  long.fill(0xff, 20, 28).fill(0xff, 42, 46);
  long.writeUInt16LE(other.length + field.length, 30);
  return long;
}

/** The same file with a zip64 end record and its locator before the end. */
function zip64(file: Buffer, change: (end64: Buffer, locator: Buffer) => void = () => {}): Buffer {
  const end = file.subarray(file.length - 22);
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(0x06064b50, 0);
  end64.writeBigUInt64LE(44n, 4);
  end64.writeBigUInt64LE(BigInt(end.readUInt16LE(10)), 32);
  end64.writeBigUInt64LE(BigInt(end.readUInt32LE(12)), 40);
  end64.writeBigUInt64LE(BigInt(end.readUInt32LE(16)), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(file.length - 22), 8);
  change(end64, locator);
  const saturated = Buffer.from(end).fill(0xff, 8, 20);
  return Buffer.concat([file.subarray(0, file.length - 22), end64, locator, saturated]);
}

test('zip64: directory, sizes and offsets', () => {
  const expected = { 'a/x': 'hello', 'a/y': 'world!' };
  const file = zipOf(TWO);
  expect(contents(zip64(file))).toEqual(expected);
  expect(contents(zipOf(TWO, { entry: zip64Entry }))).toEqual(expected);
  expect(refused(zip64(file, end64 => end64.writeBigUInt64LE(2n ** 63n, 48)))).toContain(
    'expected a number below 2^53',
  );
  expect(refused(zip64(file, end64 => end64.writeBigUInt64LE(2n ** 52n, 40)))).toContain('expected a ZIP directory');
  expect(refused(zip64(file, end64 => end64.writeUInt32LE(0, 0)))).toContain('expected the zip64 end of a directory');
  expect(refused(zip64(file, (_, locator) => locator.writeBigUInt64LE(2n ** 40n, 8)))).toContain('before byte');
  expect(withFaults({ entry: entry => entry.fill(0xff, 20, 28) })).toContain('expected a zip64 field for large sizes');
});
