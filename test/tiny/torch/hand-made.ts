/** @file ZIP files, pickles and torch files put together byte by byte, well-formed unless asked otherwise. */

import { crc32 } from 'node:zlib';

/** A record: its bytes, or deflated `data` that states a length of `bytes`. */
export type Content = Uint8Array | { readonly data: Uint8Array; readonly bytes: number };

/** What {@link zipOf} may get wrong. */
export interface ZipFaults {
  readonly comment?: string;
  /** Changes the directory's entries, each with its name, or returns others. */
  readonly entry?: (entry: Buffer, name: string) => unknown;
  /** Changes the end record. */
  readonly end?: (end: Buffer) => void;
}

/** A ZIP file. */
export function zipOf(records: Readonly<Record<string, Content>>, faults: ZipFaults = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(records)) {
    const header = headerOf(name, content);
    const entry = Buffer.concat([Buffer.alloc(46), Buffer.from(name)]);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(20, 4);
    header.copy(entry, 6, 4, 30);
    entry.writeUInt32LE(offset, 42);
    const changed = faults.entry?.(entry, name);
    directory.push(changed instanceof Buffer ? changed : entry);
    const data = Buffer.from('data' in content ? content.data : content);
    parts.push(header, data);
    offset += header.length + data.length;
  }
  const comment = Buffer.from(faults.comment ?? '');
  const end = endOf(directory.length, Buffer.concat(directory).length, offset, comment.length);
  faults.end?.(end);
  return Buffer.concat([...parts, ...directory, end, comment]);
}

function headerOf(name: string, content: Content): Buffer {
  const header = Buffer.concat([Buffer.alloc(30), Buffer.from(name)]);
  const isDeflated = 'data' in content;
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(isDeflated ? 8 : 0, 8);
  header.writeUInt32LE(isDeflated ? 0 : crc32(content), 14);
  header.writeUInt32LE(isDeflated ? content.data.length : content.length, 18);
  header.writeUInt32LE(isDeflated ? content.bytes : content.length, 22);
  header.writeUInt16LE(Buffer.byteLength(name), 26);
  return header;
}

function endOf(count: number, bytes: number, offset: number, comment: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(bytes, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment, 20);
  return end;
}

/** A pickle of protocol 2 with this code, each character a byte. */
export function pickleOf(code: string): Buffer {
  return Buffer.from(`\x80\x02${code}.`, 'latin1');
}

/** A torch archive. */
export function torchArchive(pickle: Uint8Array, storages: Readonly<Record<string, Uint8Array>> = {}): Buffer {
  const records = Object.entries(storages).map(([key, bytes]) => [`archive/data/${key}`, bytes]);
  return zipOf({ 'archive/data.pkl': pickle, ...Object.fromEntries(records) });
}

/** A file of torch's old format. */
export function legacyFile(
  pickle: Uint8Array,
  options: { readonly keys?: readonly string[]; readonly data?: Uint8Array; readonly little?: boolean } = {},
): Buffer {
  const { keys, data, little } = { keys: [], data: Buffer.alloc(0), little: true, ...options };
  const text = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  return Buffer.concat([
    pickleOf('\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19'),
    pickleOf('M\xe9\x03'),
    pickleOf(`}${text('little_endian')}${little ? '\x88' : '\x89'}s`),
    pickle,
    pickleOf(`](${keys.map(text).join('')}e`),
    data,
  ]);
}
