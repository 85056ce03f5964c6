/** @file Files of torch.save: what torch reads from them, hostile ones, and ones that lie. */

import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { isStored, openTorch, openWeights, readTensor } from '../../../src/weights/index.ts';
import { legacyFile, pickleOf, torchArchive, zipOf } from './hand-made.ts';
import {
  describeTensor,
  GOLDEN,
  readGolden,
  refusal,
  type SeenTensor,
  temporaryFile,
  temporaryFolder,
} from './helpers.ts';

const TENSORS = readGolden<{ tensors: Record<string, SeenTensor> }>('tensors.json').tensors;
/** Neither the old format nor protocol 5 was given them. */
const ONLY_ZIP = /^(weight|bias|values\.torch\.uint(16|32|64))$/;

for (const name of ['zip.bin', 'deflated.bin', 'legacy.bin', 'protocol5.bin']) {
  test(`${name}: every tensor is what torch reads`, () => {
    const seen = Array.from(openTorch(join(GOLDEN, name)).values(), entry => [
      entry.name,
      describeTensor(readTensor(entry)),
    ]);
    const isWhole = name === 'zip.bin' || name === 'deflated.bin';
    const expected = Object.entries(TENSORS).filter(([tensor]) => isWhole || !ONLY_ZIP.test(tensor));
    expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(expected));
  });
}

test('what lies row by row is mapped from the file, other views are computed', () => {
  const computed = (name: string): string[] =>
    Array.from(openTorch(join(GOLDEN, name)).values()).flatMap(entry => (isStored(entry) ? [] : [entry.name]));
  const views = ['transposed', 'columns', 'strided', 'permuted', 'expanded', 'half transposed', 'longs transposed'];
  expect(computed('zip.bin')).toEqual(views);
  expect(computed('legacy.bin')).toEqual(views);
  expect(computed('deflated.bin')).toHaveLength(Object.keys(TENSORS).length);
});

interface Hostile {
  readonly cases: readonly { readonly name: string; readonly data: string; readonly global: string }[];
}

test('hostile pickles are refused by name of the file and of what they would call', () => {
  const { cases } = readGolden<Hostile>('hostile.json');
  expect(cases.length).toBeGreaterThan(20);
  for (const { name, data, global } of cases) {
    const path = temporaryFile('hostile.bin', Buffer.from(data, 'base64'));
    const message = refusal(() => openTorch(path));
    expect(message, name).toContain(path);
    const isName = message?.endsWith(
      `expected tensors and plain containers only, got the name ${JSON.stringify(global)}`,
    );
    const isOpcode = message?.includes('expected an opcode that tensors need');
    expect(isName || isOpcode, `${name}: ${message}`).toBe(true);
  }
});

test('shards of torch files are a checkpoint', () => {
  const folder = join(GOLDEN, 'delta/delta');
  const store = openWeights(folder);
  expect(store.entries.size).toBe(25);
  expect(store.read('model.embed_tokens.weight').shape).toEqual([67, 16]);
  const copy = temporaryFolder();
  for (const name of ['pytorch_model.bin.index.json', 'pytorch_model-00001-of-00002.bin']) {
    copyFileSync(join(folder, name), join(copy, name));
  }
  expect(refusal(() => openWeights(copy))).toBe(
    `${join(copy, 'pytorch_model.bin.index.json')}: expected the shards it names, got no pytorch_model-00002-of-00002.bin`,
  );
});

test('what is no dict of tensors is refused', () => {
  const refused = (pickle: Uint8Array): string | undefined => {
    const path = temporaryFile('x.bin', torchArchive(pickle));
    return refusal(() => openTorch(path))?.replace(path, 'x.bin');
  };
  expect(refused(pickleOf('N'))).toBe('x.bin: expected a dict of tensors, got None');
  expect(refused(pickleOf('}X\x05\x00\x00\x00modelK\x07s'))).toBe(
    'x.bin: expected a tensor for each name, got 7 for "model"',
  );
  expect(refused(pickleOf('}X\x05\x00\x00\x00model}s'))).toContain('got a dict for "model"');
  expect(refused(pickleOf('}K\x01K\x02s'))).toContain('got 2 for 1');
  expect(refusal(() => openTorch(temporaryFile('x.bin', 'GGUF....')))).toContain('got neither a ZIP file nor a pickle');
  expect(refusal(() => openTorch(temporaryFile('x.bin', '')))).toContain('got neither a ZIP file nor a pickle');
});

/** A tensor `w` of f32 over storage "0" that is said to have 4 elements. */
function tensorPickle(shape: string, strides: string, offset = 'K\x00', elements = 'K\x04'): Uint8Array {
  const storage = `(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu${elements}tQ`;
  return pickleOf(
    `}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(${storage}${offset}${shape}${strides}\x89ccollections\nOrderedDict\n)RtRs`,
  );
}

test('tensors that reach out of their storage, and storages out of their record, are refused', () => {
  const read = (pickle: Uint8Array, bytes = 16): string | undefined => {
    const path = temporaryFile('x.bin', torchArchive(pickle, { '0': new Uint8Array(bytes) }));
    return refusal(() => {
      for (const entry of openTorch(path).values()) readTensor(entry);
    })?.replace(/^.*x\.bin/, 'x.bin');
  };
  const two = '(K\x02K\x02t';
  const rows = '(K\x02K\x01t';
  const huge = '\x8a\x07\xff\xff\xff\xff\xff\xff\x0f';
  expect(read(tensorPickle(two, rows))).toBeUndefined();
  expect(read(tensorPickle(two, '(K\x01K\x02t'))).toBeUndefined();
  expect(read(tensorPickle(two, '(K\x03K\x01t'))).toMatch(/data.pkl byte 137: expected a tensor within the 4 elements/);
  expect(read(tensorPickle(two, rows, 'K\x01'))).toContain('got [2,2] with strides [2,1] from 1 on');
  expect(read(tensorPickle(two, rows, 'J\xff\xff\xff\xff'))).toContain('expected a whole offset of a tensor');
  expect(read(tensorPickle(`(${huge}${huge}t`, '(K\x00K\x00t'))).toContain('expected a tensor within');
  expect(read(tensorPickle(`(${huge}t`, '(K\x00t'))).toContain('expected a tensor within');
  expect(read(tensorPickle(`(K\x00${huge}${huge}t`, '(K\x00K\x00K\x00t'))).toContain('expected a tensor within');
  expect(read(tensorPickle(two, '(K\x01t'))).toContain('expected a stride for each of 2 sizes, got 1');
  expect(read(tensorPickle(`(${'K\x01'.repeat(65)}t`, ')'))).toContain('expected a size of at most 64 numbers');
  expect(read(tensorPickle(two, rows), 12)).toBe('x.bin: expected 16 bytes of storage "0", got 12');
  expect(read(tensorPickle(two, rows, 'K\x00', huge))).toMatch(/expected \d+ bytes of storage "0", got 16/);
});

test('a tensor without its storage, and a file that has shrunk since it was opened', () => {
  const path = temporaryFile('x.bin', torchArchive(tensorPickle('(K\x04t', '(K\x01t')));
  expect(refusal(() => openTorch(path))).toBe(`${path}: expected storage "0" of tensor "w", got none`);
  const copy = join(temporaryFolder(), 'legacy.bin');
  writeFileSync(copy, readFileSync(join(GOLDEN, 'legacy.bin')));
  const entries = openTorch(copy);
  truncateSync(copy, 3000);
  for (const name of ['rows', 'transposed']) {
    expect(refusal(() => readTensor(entries.get(name)!))).toMatch(/legacy\.bin: expected (at least )?\d+ bytes/);
  }
});

test('big-endian files are refused', () => {
  const order = temporaryFile('x.bin', zipOf({ 'a/data.pkl': pickleOf('}'), 'a/byteorder': Buffer.from('big') }));
  expect(refusal(() => openTorch(order))).toBe(`${order}: expected little-endian tensors, got "big"`);
  const legacy = temporaryFile('x.bin', legacyFile(pickleOf('}'), { little: false }));
  expect(refusal(() => openTorch(legacy))).toBe(`${legacy}: expected little-endian tensors, got others`);
});

test('legacy files: magic, storages that are repeated, unknown or cut off', () => {
  const open = (bytes: Uint8Array): string | undefined => {
    const path = temporaryFile('x.bin', bytes);
    return refusal(() => openTorch(path))?.replace(path, 'x.bin');
  };
  const tensor = tensorPickle('(K\x04t', '(K\x01t');
  const storage = Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(16)]);
  expect(open(legacyFile(tensor, { keys: ['0'], data: storage }))).toBeUndefined();
  expect(open(pickleOf('N'))).toContain('expected 1 more bytes, got the end');
  expect(open(Buffer.concat([pickleOf('N'), pickleOf('N'), pickleOf('N')]))).toBe(
    "x.bin: expected torch's magic number and protocol 1001, got None, None",
  );
  expect(open(legacyFile(tensor, { keys: ['0', '0'], data: storage }))).toContain('once, got "0"');
  expect(open(legacyFile(tensor, { keys: ['1'], data: storage }))).toContain('once, got "1"');
  expect(open(legacyFile(tensor, { keys: [], data: storage }))).toContain(
    'expected storage "0" of tensor "w", got none',
  );
  expect(open(legacyFile(tensor, { keys: ['0'], data: storage.subarray(0, 20) }))).toBe(
    'x.bin: expected 16 bytes of storage "0", got 12',
  );
  expect(open(legacyFile(tensor, { keys: ['0'], data: Buffer.alloc(8, 255) }))).toContain(
    'expected a number below 2^53',
  );
});

test('old files: views of storages, and tensors of the first version', () => {
  const open = (view: string): string | number[] | undefined => {
    const storage = `(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04${view}tQ`;
    const pickle = pickleOf(`}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor\n(${storage}K\x00K\x02\x85K\x01\x85tRs`);
    const data = Buffer.alloc(24);
    data.writeUInt32LE(4);
    for (let i = 0; i < 4; i++) data.writeFloatLE(i + 0.5, 8 + 4 * i);
    const path = temporaryFile('x.bin', legacyFile(pickle, { keys: ['0'], data }));
    let values: number[] = [];
    const message = refusal(() => {
      values = Array.from(readTensor(openTorch(path).get('w')!).data, Number);
    });
    return message?.replace(path, 'x.bin') ?? values;
  };
  expect(open('N')).toEqual([0.5, 1.5]);
  expect(open('(X\x01\x00\x00\x00vK\x02K\x02t')).toEqual([2.5, 3.5]);
  expect(open('(X\x01\x00\x00\x00vK\x02K\x01t')).toContain('expected a tensor within the 1 elements of storage "0"');
  expect(open('(X\x01\x00\x00\x00vK\x03K\x02t')).toBe('x.bin: expected 20 bytes of storage "0", got 16');
});

test('pickles built to exhaust memory, time or the stack end early', () => {
  const open = (pickle: Uint8Array): string | undefined => {
    const path = temporaryFile('x.bin', torchArchive(pickle));
    return refusal(() => openTorch(path))?.replace(/^.*x\.bin: data\.pkl /, '');
  };
  const size = 600_000;
  expect(open(pickleOf('('.repeat(size)))).toContain('expected a pickle of at most 524288 opcodes');
  expect(open(pickleOf(`)${'\x85'.repeat(size / 2)}`))).toContain('expected a dict of tensors, got a list or tuple');
  expect(open(pickleOf('X\xff\xff\xff\xffabc'))).toContain('expected 4294967295 more bytes, got the end after 4');
  expect(open(pickleOf('\x8d\xff\xff\xff\xff\xff\xff\xff\x00abc'))).toContain('expected a number below 2^53');
  expect(open(pickleOf('\x8b\xff\xff\xff\x7f'))).toContain('expected an integer of at most 10 bytes');
  expect(open(pickleOf(`c${'a'.repeat(size)}\n`))).toContain('expected a line of at most 256 bytes');
  expect(open(pickleOf('h\x05'))).toContain('expected a place of the memo that was set, got 5');
  for (const code of ['0', '1', '2', 't', 'e', 'u', 's', 'a', 'R', 'b', 'Q', 'q\x00', '\x93', '\x87', '(0', '}(b']) {
    expect(open(pickleOf(code)), JSON.stringify(code)).toMatch(/expected/);
  }
  expect(open(pickleOf('}(K\x01u'))).toContain('expected pairs of keys and values, got 1 values');
  expect(open(pickleOf('}}}s'))).toContain('expected text or a number as key of a dict, got a dict');
  expect(open(pickleOf('ccollections\nOrderedDict\n]\x85R'))).toContain('expected an ordered dict that starts empty');
  expect(open(Buffer.from('\x80\x00N.', 'latin1'))).toContain('expected a pickle of protocol 2 to 5, got 0');
});

test('a deflated record that grows beyond what it states, or beyond all measure', () => {
  const bomb = deflateRawSync(Buffer.alloc(2 ** 20));
  const open = (bytes: number, data: Uint8Array = bomb): string | undefined => {
    const path = temporaryFile('x.bin', zipOf({ 'a/data.pkl': { data, bytes } }));
    return refusal(() => openTorch(path))?.replace(path, 'x.bin');
  };
  expect(open(100)).toContain('expected record "a/data.pkl" deflated, 100 bytes, got');
  expect(open(2 ** 20 + 1)).toContain('expected record "a/data.pkl" of 1048577 bytes, got 1048576');
  expect(open(2 ** 31)).toContain(`expected record "a/data.pkl" of at most ${bomb.length * 1032} bytes when unpacked`);
  expect(open(2 ** 26 + 1, Buffer.alloc(2 ** 17))).toContain('expected record "a/data.pkl" of at most 67108864 bytes');
  expect(open(5, Buffer.from('junk!'))).toContain('expected record "a/data.pkl" deflated');
});
