/**
 * @file Random damage to the files whose parsers live in `src/weights`: each parser must return something consistent or
 * throw a LlavaError, soon and without asking for much memory.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { LlavaError, Rng, sizeOf } from '../../../src/core/index.ts';
import { type ByteSource, memorySource } from '../../../src/weights/byte-source.ts';
import {
  isStored,
  parseHeader,
  parseHeaderLength,
  parseJson,
  parseLoraConfig,
  parseTorch,
  parseWeightIndex,
  type WeightEntry,
} from '../../../src/weights/index.ts';
import { ByteReader } from '../../../src/weights/torch/byte-reader.ts';
import { readPickle } from '../../../src/weights/torch/pickle.ts';
import { TORCH_HOOKS, TorchTensor } from '../../../src/weights/torch/rebuild.ts';
import { readZipDirectory, readZipRecord } from '../../../src/weights/torch/zip.ts';
import { zipOf } from './hand-made.ts';
import { GOLDEN } from './helpers.ts';

/** Elements that a view of a small storage may have. */
const MAX_VIEW_ELEMENTS = 2 ** 24;
/** Window of the reader, header of each record and the like, on top of a few times the file. */
const SLACK_BYTES = 2 ** 19;

/** Values that are likely to be wrong somewhere. */
const EXTREMES = [0n, 1n, 255n, 0xffffn, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/** A kind of file: examples, pieces of its grammar to throw in, and a parser with the checks of what it returns. */
interface Target {
  readonly examples: readonly Uint8Array[];
  readonly tokens: readonly string[];
  readonly parse: (bytes: Uint8Array) => void;
}

/** Bits, bytes, integers, tokens; stretches lost, doubled, moved; cuts: one to three of them. */
function damage(original: Uint8Array, tokens: readonly string[], rng: Rng): Uint8Array {
  let bytes = Buffer.from(original);
  for (let edits = 1 + rng.int(3); edits > 0 && bytes.length > 8; edits--) {
    // Half of the faults hit the last part, where archives keep their directory.
    const at = rng.int(2) === 0 ? rng.int(bytes.length - 8) : Math.max(0, bytes.length - 9 - rng.int(200));
    const to = Math.min(bytes.length, at + rng.int(40));
    const kind = rng.int(8);
    if (kind === 0) bytes[at]! ^= 1 << rng.int(8);
    else if (kind === 1) bytes[at] = rng.int(256);
    else if (kind === 2) bytes.writeBigUInt64LE(rng.pick(EXTREMES), at);
    else if (kind === 3) bytes.writeUInt32LE(rng.int(300), at);
    else if (kind === 4) bytes = splice(bytes, at, at, Buffer.from(rng.pick(tokens), 'latin1'));
    else if (kind === 5) bytes = splice(bytes, at, to, Buffer.alloc(0));
    else if (kind === 6) bytes = splice(bytes, at, at, bytes.subarray(rng.int(bytes.length)).subarray(0, 40));
    else if (rng.int(4) === 0) bytes = bytes.subarray(0, at);
  }
  return bytes;
}

function splice(bytes: Buffer, at: number, to: number, inserted: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(to)]);
}

/** Counts what is read, which must stay in proportion to the file. */
function counting(bytes: Uint8Array): ByteSource {
  const source = memorySource(bytes);
  let total = 0;
  return {
    size: source.size,
    read(offset, length) {
      total += length;
      const isWithin = offset >= 0 && length >= 0 && offset + length <= source.size;
      if (!isWithin) throw new Error(`read of ${length} bytes at ${offset} of ${source.size}`);
      if (total > 50 * source.size + SLACK_BYTES) throw new Error(`read ${total} bytes of a file of ${source.size}`);
      return source.read(offset, length);
    },
  };
}

function checkEntry(entry: WeightEntry, fileBytes: number): void {
  const elements = sizeOf(entry.shape);
  const isCounted = entry.shape.every(dim => Number.isSafeInteger(dim) && dim >= 0) && elements <= MAX_VIEW_ELEMENTS;
  if (!isCounted) throw new Error(`accepted [${entry.shape}]`);
  if (isStored(entry) && !(entry.offset >= 0 && entry.offset + entry.byteLength <= fileBytes)) {
    throw new Error(`accepted ${entry.byteLength} bytes at ${entry.offset} of ${fileBytes}`);
  }
}

function parseTensors(bytes: Uint8Array): void {
  for (const entry of parseTorch(counting(bytes), 'fuzz').values()) checkEntry(entry, bytes.length);
}

function parsePickle(bytes: Uint8Array): void {
  const root = readPickle(new ByteReader(counting(bytes), 'fuzz'), TORCH_HOOKS);
  for (const value of root instanceof Map ? root.values() : []) {
    if (value instanceof TorchTensor) checkView(value);
  }
}

function checkView({ offset, shape, strides, storage }: TorchTensor): void {
  const last = shape.reduce((sum, dim, i) => sum + (dim - 1) * strides[i]!, offset);
  const isWithin = sizeOf(shape) === 0 || (offset >= 0 && last < storage.elements);
  if (!isWithin || sizeOf(shape) > Math.max(MAX_VIEW_ELEMENTS, storage.elements))
    throw new Error(`accepted [${shape}]`);
}

function parseZip(bytes: Uint8Array): void {
  const source = counting(bytes);
  for (const record of readZipDirectory(source, 'fuzz').values()) {
    const content = readZipRecord(source, record, 'fuzz', 2 ** 20);
    if (content.length !== record.bytes) throw new Error(`read ${content.length} bytes of ${record.bytes}`);
  }
}

function parseSafetensors(bytes: Uint8Array): void {
  const length = parseHeaderLength(bytes.subarray(0, 8), bytes.length, 'fuzz');
  parseHeader(bytes.subarray(8, 8 + length), bytes.length - 8 - length, 'fuzz');
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const golden = (name: string): Uint8Array => readFileSync(join(GOLDEN, name));

/** The pickle of a small state dict, without the archive around it. */
function smallPickle(name: string): Uint8Array {
  const source = memorySource(golden(name));
  const [, record] = [...readZipDirectory(source, name)].find(([key]) => key.endsWith('data.pkl'))!;
  return readZipRecord(source, record, name, 2 ** 20);
}

const OPCODES = [
  '(',
  't',
  'R',
  'Q',
  '}',
  'u',
  's',
  'b',
  '.',
  'q\0',
  'h\0',
  'K\xff',
  'J\xff\xff\xff\xff',
  '\x85',
  '\x93',
  '0',
];
const JSON_TOKENS = [
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
  '1e999',
  'null',
  '"__proto__":',
  '"../x"',
  '\0',
  '\xff',
];

/** The parsers by name. */
export const TARGETS: Readonly<Record<string, Target>> = {
  zip: {
    examples: [golden('zip.bin'), golden('deflated.bin'), zipOf({ 'a/b': Buffer.from('x'), c: Buffer.from('yz') })],
    tokens: [
      'PK\x01\x02',
      'PK\x03\x04',
      'PK\x05\x06',
      'PK\x06\x06',
      'PK\x06\x07',
      '../',
      '\x01\0\x18\0',
      '\xff\xff\xff\xff',
    ],
    parse: parseZip,
  },
  pickle: {
    examples: [smallPickle('zip.bin'), smallPickle('protocol5.bin'), smallPickle('projector/mm_projector.bin')],
    tokens: [...OPCODES, 'cos\nsystem\n', 'ctorch\nFloatStorage\n', 'ctorch._utils\n_rebuild_tensor_v2\n'],
    parse: parsePickle,
  },
  'torch archive': {
    examples: [golden('zip.bin'), golden('projector/mm_projector.bin')],
    tokens: [...OPCODES, 'PK\x01\x02', 'PK\x05\x06'],
    parse: parseTensors,
  },
  'legacy stream': { examples: [golden('legacy.bin')], tokens: OPCODES, parse: parseTensors },
  safetensors: {
    examples: [golden('lora/safetensors/adapter_model.safetensors'), golden('projector/expected.safetensors')],
    tokens: JSON_TOKENS,
    parse: parseSafetensors,
  },
  'weight index': {
    examples: [golden('delta/delta/pytorch_model.bin.index.json')],
    tokens: JSON_TOKENS,
    parse: bytes => void parseWeightIndex(parseJson(text(bytes), 'fuzz'), 'fuzz'),
  },
  'adapter configuration': {
    examples: [golden('lora/bin/adapter_config.json'), golden('lora/safetensors/adapter_config.json')],
    tokens: [...JSON_TOKENS, '"r"', '"lora_alpha"', 'true'],
    parse: bytes => void parseLoraConfig(parseJson(text(bytes), 'fuzz'), 'fuzz'),
  },
};

/** Damages `runs` files. Throws, with the seed, for what is neither accepted nor refused by a one-line LlavaError. */
export function fuzz({ examples, tokens, parse }: Target, runs: number): { accepted: number; refused: number } {
  let refused = 0;
  const property = fc.property(fc.nat(), fc.nat(examples.length - 1), (seed, example) => {
    try {
      parse(damage(examples[example]!, tokens, new Rng(seed)));
    } catch (error) {
      if (!(error instanceof LlavaError) || !/^fuzz.*expected .*got /s.test(error.message)) throw error;
      if (error.message.length > 1000 || /[\n\0]/.test(error.message)) throw new Error(`long error: ${error.message}`);
      refused++;
    }
  });
  fc.assert(property, { numRuns: runs, includeErrorInReport: true });
  return { accepted: runs - refused, refused };
}
