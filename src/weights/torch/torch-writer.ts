/**
 * @file Writer of torch's archive format, read by `torch.load` with `weights_only` and `mmap`: a ZIP file of records that
 * are stored as they are, data at multiples of 64 bytes. For the small files that LLaVA's trainers exchange
 * (`mm_projector.bin`, `non_lora_trainables.bin`): at most 4 GiB, whole checkpoints are better off as safetensors.
 */

import { crc32 } from 'node:zlib';
import { type DType, LlavaError } from '../../core/index.ts';
import { type WriteBytes, writeFileAtomic } from '../atomic.ts';
import { quoteName } from '../files.ts';
import { readSource, type TensorSource } from '../safetensors.ts';
import { byteLengthOf } from '../safetensors-header.ts';
import { STORAGE_NAMES } from './rebuild.ts';

const MAX_BYTES = 0xffff_ffff;
const ALIGNMENT = 64;
/** Folder of the records. */
const ROOT = 'archive';
const VERSION = '3\n';
const LOCAL_BYTES = 30;
const ENTRY_BYTES = 46;
const END_BYTES = 22;
const UTF8_NAMES = 0x800;
/** Field of an entry that holds nothing but room, as torch's own writer names it. */
const PADDING_FIELD = Buffer.from('FB');

/**
 * Writes tensors by name, all or nothing, one in memory at a time.
 * @throws LlavaError for element types without a class of storage, more than 4 GiB, and places that are not writable
 */
export async function writeTorch(path: string, tensors: Iterable<TensorSource>): Promise<void> {
  const sources = [...tensors];
  const bytes = sources.reduce((sum, source) => sum + byteLengthOf(source), 0);
  // Leaves room for the directory, about 300 bytes a tensor.
  if (bytes + 1024 * (sources.length + 4) > MAX_BYTES) {
    throw new LlavaError(`${path}: expected at most 4 GiB for a torch file, got ${bytes} bytes of tensors`);
  }
  const pickle = pickleOf(sources, path);
  await writeFileAtomic(path, async write => {
    const archive = new Archive(write);
    await archive.add(`${ROOT}/data.pkl`, pickle);
    await archive.add(`${ROOT}/byteorder`, Buffer.from('little'));
    for (const [i, source] of sources.entries()) await archive.add(`${ROOT}/data/${i}`, await readSource(source));
    await archive.add(`${ROOT}/version`, Buffer.from(VERSION));
    await archive.end();
  });
}

/** Writes records one after another, and at the end their directory. */
class Archive {
  readonly #write: WriteBytes;
  readonly #directory: Buffer[] = [];
  #offset = 0;

  constructor(write: WriteBytes) {
    this.#write = write;
  }

  async add(name: string, content: Uint8Array): Promise<void> {
    const text = Buffer.from(name);
    const common = commonHeader(text, content);
    const padding = paddingField(this.#offset + LOCAL_BYTES + text.length);
    const local = Buffer.alloc(LOCAL_BYTES);
    local.writeUInt32LE(0x04034b50, 0);
    common.copy(local, 4);
    local.writeUInt16LE(padding.length, 28);
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeUInt32LE(0x02014b50, 0);
    common.copy(entry, 6);
    entry.writeUInt32LE(this.#offset, 42);
    this.#directory.push(entry, text);
    await this.#append(Buffer.concat([local, text, padding]));
    await this.#append(content);
  }

  async end(): Promise<void> {
    const directory = Buffer.concat(this.#directory);
    const end = Buffer.alloc(END_BYTES);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(this.#directory.length / 2, 8);
    end.writeUInt16LE(this.#directory.length / 2, 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(this.#offset, 16);
    await this.#append(directory);
    await this.#append(end);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes);
    this.#offset += bytes.length;
  }
}

/** What a record's own header and its entry in the directory share: version, flags, method, time, checksum, sizes, name. */
function commonHeader(name: Uint8Array, content: Uint8Array): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt16LE(20, 0);
  header.writeUInt16LE(UTF8_NAMES, 2);
  header.writeUInt32LE(crc32(content), 10);
  header.writeUInt32LE(content.length, 14);
  header.writeUInt32LE(content.length, 18);
  header.writeUInt16LE(name.length, 22);
  return header;
}

/** A field so long that what follows it, at `position` if there were none, is aligned. */
function paddingField(position: number): Buffer {
  const room = (ALIGNMENT - ((position + 4) % ALIGNMENT)) % ALIGNMENT;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(room);
  return Buffer.concat([PADDING_FIELD, length, Buffer.alloc(room)]);
}

/** `{name: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()), …}` in protocol 2. */
function pickleOf(sources: readonly TensorSource[], path: string): Buffer {
  const items = sources.map(({ name, dtype, shape }, i) =>
    Buffer.concat([
      text(name),
      code('ctorch._utils\n_rebuild_tensor_v2\n(('),
      text('storage'),
      code(`ctorch\n${storageName(dtype, name, path)}\n`),
      text(String(i)),
      text('cpu'),
      integer(shape.reduce((product, dim) => product * dim, 1)),
      code('tQK\0'),
      tuple(shape),
      tuple(stridesOf(shape)),
      code('\x89ccollections\nOrderedDict\n)RtR'),
    ]),
  );
  return Buffer.concat([code('\x80\x02}('), ...items, code('u.')]);
}

function storageName(dtype: DType, name: string, path: string): string {
  const known = STORAGE_NAMES.get(dtype);
  if (known) return known;
  throw new LlavaError(
    `${path}: expected tensors of ${[...STORAGE_NAMES.keys()].join(', ')} for a torch file, got ${quoteName(name)} of ${dtype}`,
  );
}

/** Steps from one element to the next along each size, row by row. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => shape.slice(i + 1).reduce((product, dim) => product * Math.max(1, dim), 1));
}

const code = (characters: string): Buffer => Buffer.from(characters, 'latin1');

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const header = Buffer.from('X\0\0\0\0');
  header.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

function tuple(values: readonly number[]): Buffer {
  return Buffer.concat([code('('), ...values.map(integer), code('t')]);
}

/** BININT, or LONG1 of 8 bytes. */
function integer(value: number): Buffer {
  const bytes = Buffer.alloc(value < 2 ** 31 ? 5 : 10);
  if (bytes.length === 5) {
    bytes[0] = 0x4a;
    bytes.writeInt32LE(value, 1);
  } else {
    bytes[0] = 0x8a;
    bytes[1] = 8;
    bytes.writeBigInt64LE(BigInt(value), 2);
  }
  return bytes;
}
