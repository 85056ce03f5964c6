/**
 * @file Directories of ZIP files, zip64 among them (source: PKWARE's APPNOTE.TXT, 4.3 and 4.5.3). Nothing is ever extracted
 * to disk: a record is a range of the file. The directory comes from strangers, so names that could leave a folder, names
 * given twice, records that overlap or reach out of the file, and contents that grow more than deflate can are refused.
 */

import { inflateRawSync } from 'node:zlib';
import { LlavaError } from '../../core/index.ts';
import type { ByteSource } from '../byte-source.ts';
import { quoteName } from '../files.ts';
import { ByteReader } from './byte-reader.ts';

/** A record: `storedBytes` bytes from `offset` of the file, `bytes` when inflated. */
export interface ZipRecord {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  readonly offset: number;
  readonly storedBytes: number;
  readonly bytes: number;
}

/** First bytes of a ZIP file that has records. */
export const ZIP_MAGIC = 0x04034b50;

const ENTRY_MAGIC = 0x02014b50;
const END_MAGIC = 0x06054b50;
const END64_MAGIC = 0x06064b50;
const LOCATOR64_MAGIC = 0x07064b50;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const END_BYTES = 22;
const LOCATOR64_BYTES = 20;
const END64_BYTES = 56;
const MAX_COMMENT_BYTES = 0xffff;
const MAX_DIRECTORY_BYTES = 2 ** 26;
const ZIP64_FIELD = 1;
const SATURATED32 = 0xffff_ffff;
const SATURATED16 = 0xffff;
const ENCRYPTED = 1;
/** Most that deflate shrinks anything. */
const MAX_DEFLATE_RATIO = 1032;

/** Where the central directory lies. */
interface Directory {
  readonly offset: number;
  readonly bytes: number;
  readonly count: number;
}

/**
 * The records of a ZIP file by name. Reads the directory and the 30-byte header of each record.
 * @param where names the file in errors
 */
export function readZipDirectory(source: ByteSource, where: string): ReadonlyMap<string, ZipRecord> {
  const directory = findDirectory(source, where);
  const reader = new ByteReader(source, where, { start: directory.offset, maxBytes: directory.bytes });
  const records = new Map<string, ZipRecord>();
  const ranges: Range[] = [];
  for (let i = 0; i < directory.count; i++) {
    const entry = readEntry(reader);
    if (records.has(entry.name))
      throw new LlavaError(`${where}: expected each record once, got ${quoteName(entry.name)} again`);
    const record = locate(entry, source, where, directory.offset);
    records.set(entry.name, record);
    ranges.push({ name: entry.name, start: entry.headerOffset, end: record.offset + record.storedBytes });
  }
  refuseOverlaps(ranges, where);
  return records;
}

/**
 * The content of a record. Its checksum is not looked at: torch can be told to leave it out.
 * @throws LlavaError when it is longer than `maxBytes` or does not inflate to what it states
 */
export function readZipRecord(source: ByteSource, record: ZipRecord, where: string, maxBytes: number): Uint8Array {
  const { name, bytes, offset, storedBytes, method } = record;
  if (bytes > maxBytes)
    throw new LlavaError(`${where}: expected record ${quoteName(name)} of at most ${maxBytes} bytes, got ${bytes}`);
  const stored = source.read(offset, storedBytes);
  return method === 'stored' ? stored : inflate(stored, record, where);
}

/** Inflates to exactly the length that the record states; memory never exceeds it. */
function inflate(stored: Uint8Array, { name, bytes }: ZipRecord, where: string): Uint8Array {
  try {
    const content = inflateRawSync(stored, { maxOutputLength: Math.max(1, bytes) });
    if (content.length === bytes) return content;
    throw new LlavaError(`${where}: expected record ${quoteName(name)} of ${bytes} bytes, got ${content.length}`);
  } catch (error) {
    if (error instanceof LlavaError) throw error;
    throw new LlavaError(
      `${where}: expected record ${quoteName(name)} deflated, ${bytes} bytes, got ${(error as Error).message}`,
    );
  }
}

/** Looks backwards for the end record, which a comment of up to 64 kB may follow. */
function findDirectory(source: ByteSource, where: string): Directory {
  const tailBytes = Math.min(source.size, END_BYTES + MAX_COMMENT_BYTES);
  const tail = Buffer.from(source.read(source.size - tailBytes, tailBytes));
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    const isEnd = tail.readUInt32LE(at) === END_MAGIC && tail.readUInt16LE(at + 20) === tail.length - at - END_BYTES;
    if (isEnd) return readEnd(source, source.size - tailBytes + at, where);
  }
  throw new LlavaError(`${where}: expected the directory at the end of a ZIP file, got none (a truncated file?)`);
}

function readEnd(source: ByteSource, at: number, where: string): Directory {
  const end = Buffer.from(source.read(at, END_BYTES));
  const directory = { count: end.readUInt16LE(10), bytes: end.readUInt32LE(12), offset: end.readUInt32LE(16) };
  const isSaturated =
    directory.count === SATURATED16 || directory.bytes === SATURATED32 || directory.offset === SATURATED32;
  const [exact, limit] = (isSaturated && readEnd64(source, at, where)) || [directory, at];
  if (exact.offset + exact.bytes > limit || exact.bytes > MAX_DIRECTORY_BYTES) {
    throw new LlavaError(
      `${where}: expected a ZIP directory of at most ${MAX_DIRECTORY_BYTES} bytes before byte ${limit}, got ${exact.bytes} at ${exact.offset}`,
    );
  }
  return exact;
}

/** The zip64 end record, whose place a locator right before the plain one tells; and where it starts. */
function readEnd64(source: ByteSource, at: number, where: string): [Directory, number] | undefined {
  if (at < LOCATOR64_BYTES) return undefined;
  const locator = new ByteReader(source, where, { start: at - LOCATOR64_BYTES });
  if (locator.unsigned(4) !== LOCATOR64_MAGIC) return undefined;
  locator.take(4);
  const start = locator.unsigned(8);
  if (start + END64_BYTES > at) {
    throw new LlavaError(`${where}: expected the zip64 directory's end before byte ${at}, got ${start}`);
  }
  const end = new ByteReader(source, where, { start });
  if (end.unsigned(4) !== END64_MAGIC) end.fail('the zip64 end of a directory', 'something else', start);
  end.take(28);
  const count = end.unsigned(8);
  const bytes = end.unsigned(8);
  return [{ count, bytes, offset: end.unsigned(8) }, start];
}

interface Entry extends Omit<ZipRecord, 'offset'> {
  readonly nameBytes: number;
  readonly headerOffset: number;
}

function readEntry(reader: ByteReader): Entry {
  const at = reader.position;
  const fixed = Buffer.from(reader.take(ENTRY_BYTES));
  if (fixed.readUInt32LE(0) !== ENTRY_MAGIC) reader.fail('an entry of the ZIP directory', 'something else', at);
  const nameBytes = fixed.readUInt16LE(28);
  const name = reader.text(nameBytes);
  const extra = reader.take(fixed.readUInt16LE(30));
  reader.take(fixed.readUInt16LE(32));
  checkName(reader, name, at);
  if (fixed.readUInt16LE(8) & ENCRYPTED) reader.fail(`record ${quoteName(name)} in plain`, 'an encrypted one', at);
  const sizes = {
    bytes: fixed.readUInt32LE(24),
    storedBytes: fixed.readUInt32LE(20),
    headerOffset: fixed.readUInt32LE(42),
  };
  const exact = applyZip64(reader, extra, sizes, at);
  const method = readMethod(reader, fixed.readUInt16LE(10), name, at);
  const limit = method === 'stored' ? exact.storedBytes : exact.storedBytes * MAX_DEFLATE_RATIO;
  const isHonest = method === 'stored' ? exact.bytes === limit : exact.bytes <= limit;
  if (!isHonest) reader.fail(`record ${quoteName(name)} of at most ${limit} bytes when unpacked`, `${exact.bytes}`, at);
  return { name, nameBytes, method, ...exact };
}

/** Relative, without drive, `..` or control characters, so that nobody who unpacks it writes elsewhere. */
function checkName(reader: ByteReader, name: string, at: number): void {
  const isSafe = /^[^\\:\p{Cc}]+$/u.test(name) && !name.startsWith('/') && !name.split('/').includes('..');
  if (!isSafe) reader.fail('a plain relative name of a record', quoteName(name), at);
}

function readMethod(reader: ByteReader, method: number, name: string, at: number): ZipRecord['method'] {
  if (method === 0) return 'stored';
  if (method === 8) return 'deflated';
  return reader.fail(`record ${quoteName(name)} stored or deflated`, `method ${method}`, at);
}

type Sizes = Pick<Entry, 'bytes' | 'storedBytes' | 'headerOffset'>;

/** Replaces numbers that do not fit 32 bits by those of the zip64 field, which holds them in this order. */
function applyZip64(reader: ByteReader, extra: Uint8Array, sizes: Sizes, at: number): Sizes {
  const isSaturated = (key: keyof Sizes): boolean => sizes[key] === SATURATED32;
  const keys = (['bytes', 'storedBytes', 'headerOffset'] as const).filter(isSaturated);
  if (keys.length === 0) return sizes;
  const field = extraField(extra, ZIP64_FIELD);
  if (!field || field.length < 8 * keys.length) return reader.fail('a zip64 field for large sizes', 'none', at);
  const exact = keys.map((key, i) => {
    const value = Number(Buffer.from(field).readBigUInt64LE(8 * i));
    return Number.isSafeInteger(value) ? [key, value] : reader.fail('sizes below 2^53', `${value}`, at);
  });
  return { ...sizes, ...Object.fromEntries(exact) };
}

/** Data of one of the fields (id u16, length u16, data) of an entry. */
function extraField(extra: Uint8Array, id: number): Uint8Array | undefined {
  const view = Buffer.from(extra);
  for (let at = 0; at + 4 <= view.length; at += 4 + view.readUInt16LE(at + 2)) {
    if (view.readUInt16LE(at) === id) return view.subarray(at + 4, at + 4 + view.readUInt16LE(at + 2));
  }
  return undefined;
}

/** Finds a record's content: it follows its own header, whose length only that header tells. */
function locate(
  { headerOffset, nameBytes, ...entry }: Entry,
  source: ByteSource,
  where: string,
  end: number,
): ZipRecord {
  const { name } = entry;
  if (headerOffset + LOCAL_BYTES + nameBytes > end) {
    throw new LlavaError(
      `${where}: expected record ${quoteName(name)} before the directory at ${end}, got it at ${headerOffset}`,
    );
  }
  const header = Buffer.from(source.read(headerOffset, LOCAL_BYTES + nameBytes));
  if (header.readUInt32LE(0) !== ZIP_MAGIC || header.toString('utf8', LOCAL_BYTES) !== name) {
    throw new LlavaError(
      `${where}: expected the header of record ${quoteName(name)} at byte ${headerOffset}, got something else`,
    );
  }
  const offset = headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (header.readUInt16LE(26) === nameBytes && offset + entry.storedBytes <= end) return { ...entry, offset };
  throw new LlavaError(
    `${where}: expected record ${quoteName(name)} to end before byte ${end}, got ${entry.storedBytes} bytes at ${offset}`,
  );
}

interface Range {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Records that share bytes are how small files become huge. */
function refuseOverlaps(ranges: Range[], where: string): void {
  ranges.sort((a, b) => a.start - b.start);
  for (const [i, { name, start }] of ranges.entries()) {
    const previous = ranges[i - 1];
    if (!previous || previous.end <= start) continue;
    throw new LlavaError(
      `${where}: expected records apart from each other, got ${quoteName(name)} within ${quoteName(previous.name)}`,
    );
  }
}
