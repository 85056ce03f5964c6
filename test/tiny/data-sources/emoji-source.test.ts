import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  COLOURS,
  EMOJI_TASKS,
  type EmojiData,
  type EmojiTask,
  emojiSource,
  exportLlavaJson,
  GROUPS,
  openEmojiData,
  openLlavaJson,
  type Sample,
} from '../../../src/data/index.ts';
import { groupDrawings } from '../../../src/data/sources/emoji/emoji-data.ts';
import { NUMBERS, QUESTIONS } from '../../../src/data/sources/emoji/phrases.ts';
import { makeCache } from './emoji-fixture.ts';

let data: EmojiData;
let cacheDir: string;

beforeAll(async () => {
  cacheDir = await makeCache();
  data = await openEmojiData({ cacheDir, imageSize: 24 });
}, 60_000);
afterAll(() => rm(cacheDir, { recursive: true }));

function samples(task: EmojiTask, count: number, seed = 0): Sample[] {
  const source = emojiSource(data, { task, seed });
  return Array.from({ length: count }, (_, i) => source.sample(i) as Sample);
}

/** As text: comparing large arrays element by element is slow. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('base64') : v));
}

test('a sample depends on seed and index alone', () => {
  const check = (task: EmojiTask, seed: number, index: number) => {
    const used = emojiSource(data, { task, seed });
    used.sample(index + 1000);
    used.sample(index + 1);
    expect(plain(used.sample(index)) === plain(emojiSource(data, { task, seed }).sample(index))).toBe(true);
  };
  fc.assert(fc.property(fc.constantFrom(...EMOJI_TASKS), fc.integer(), fc.nat(1e6), check), { numRuns: 60 });
  expect(plain(samples('clip', 30, 1)) === plain(samples('clip', 30, 2))).toBe(false);
});

test('there are as many marks as images, turns alternate, images have their size', () => {
  for (const task of EMOJI_TASKS) {
    for (const { images, conversations } of samples(task, 100)) {
      const text = conversations.map(({ value }) => value).join();
      expect(text.split('<image>').length - 1).toBe(images.length);
      expect(conversations.map(({ from }) => from)).toEqual(
        conversations.map((_, i) => (i % 2 === 0 ? 'human' : 'gpt')),
      );
      for (const { width, height, data } of images) expect([width, height, data.length]).toEqual([24, 24, 24 * 24 * 3]);
    }
  }
});

test('every concept comes once before any comes twice', () => {
  const n = data.known.length;
  const captions = samples('caption', 3 * n).map(({ conversations }) => conversations[1]!.value);
  for (let epoch = 0; epoch < 3; epoch++) expect(new Set(captions.slice(epoch * n, (epoch + 1) * n)).size).toBe(n);
  expect(captions.slice(0, n)).not.toEqual(captions.slice(n, 2 * n));
});

test('held-out names are never said', () => {
  const names = data.concepts.filter(({ heldOut }) => heldOut).map(({ name }) => name);
  const drawn = data.drawings.flat().map(({ concept }) => concept.name);
  expect(drawn.filter(name => names.includes(name))).toEqual([]);
});

test('instructions: the kinds, their shares, and answers of the fixed forms', () => {
  const all = samples('instruct', 1500);
  const pairs = all.flatMap(({ images, conversations }) =>
    conversations.flatMap((turn, i) =>
      turn.from === 'human'
        ? [
            {
              images: images.length,
              question: turn.value.replaceAll('<image>\n', ''),
              answer: conversations[i + 1]!.value,
            },
          ]
        : [],
    ),
  );
  const of = (kind: keyof typeof QUESTIONS) => pairs.filter(({ question }) => QUESTIONS[kind].includes(question));
  const names = data.known.map(({ name }) => name);
  expect(of('name').every(({ answer }) => names.includes(answer))).toBe(true);
  expect(of('group').every(({ answer }) => (GROUPS as readonly string[]).includes(answer))).toBe(true);
  expect(of('colour').every(({ answer }) => (COLOURS as readonly string[]).includes(answer))).toBe(true);
  expect(of('count').every(({ answer }) => (NUMBERS as readonly string[]).includes(answer))).toBe(true);
  expect(of('same').every(({ images }) => images === 2)).toBe(true);
  expect(Math.abs(of('same').length / 1500 - 0.16)).toBeLessThan(0.04);
  expect(Math.abs(of('count').length / 1500 - 0.08)).toBeLessThan(0.04);
  for (const kind of ['name', 'group', 'colour', 'count'] as const) expect(of(kind).length).toBeGreaterThan(100);
  const closed = pairs.filter(({ answer }) => answer === 'yes' || answer === 'no');
  expect(Math.abs(closed.filter(({ answer }) => answer === 'yes').length / closed.length - 0.5)).toBeLessThan(0.06);
  expect(all.filter(({ images }) => images.length === 0).length).toBeGreaterThan(30);
});

test('the mixture can be changed', () => {
  const source = emojiSource(data, { task: 'instruct', mixture: { one: 0, same: 0, text: 0 } });
  for (let i = 0; i < 50; i++) expect(NUMBERS).toContain((source.sample(i) as Sample).conversations[1]!.value);
});

test('a share of questions about colours alone can be asked for', () => {
  const source = emojiSource(data, { task: 'instruct', mixture: { one: 0, colour: 1, same: 0, count: 0, text: 0 } });
  for (let i = 0; i < 50; i++) {
    const { images, conversations } = source.sample(i) as Sample;
    expect(images).toHaveLength(1);
    expect(conversations).toHaveLength(2);
    expect(COLOURS).toContain(conversations[1]!.value);
  }
});

test('options out of range are refused', () => {
  const open = (options: object) => () => emojiSource(data, { task: 'instruct', ...options });
  expect(open({ calm: 1.5 })).toThrow('emoji data: calm: expected a share from 0 to 1, got 1.5');
  expect(open({ mixture: { cuont: 1 } })).toThrow('got cuont (did you mean count?)');
  expect(open({ mixture: { one: -1 } })).toThrow('emoji data: mixture: expected shares from 0 up, not all 0');
});

test('a colour is asked only of pictures that still have it', () => {
  const source = emojiSource(data, { task: 'instruct', mixture: { same: 0, count: 0, text: 0 } });
  const shades: Record<string, number[]> = {};
  for (let i = 0; i < 600; i++) {
    const { images, conversations } = source.sample(i) as Sample;
    const answer = conversations.find(({ value }) => value === 'green' || value === 'red')?.value;
    if (!answer) continue;
    const { data: pixels } = images[0]!;
    const middle = (12 * 24 + 12) * 3;
    const erased = pixels[middle] === pixels[middle + 1] && pixels[middle] === pixels[middle + 2];
    const greener = pixels[middle + 1]! > pixels[middle]!;
    if (!erased && greener !== (answer === 'green')) shades[answer] = [...(shades[answer] ?? []), i];
  }
  expect(shades).toEqual({});
});

test('too few concepts are refused', () => {
  const empty = groupDrawings(data.concepts, [], 24);
  expect(() => emojiSource(empty, { task: 'clip' })).toThrow('emoji data: expected at least 2 concepts, got 0');
});

test('an exported dataset reads back as it was', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llava-export-'));
  const source = emojiSource(data, { task: 'instruct', seed: 3 });
  const path = await exportLlavaJson(source, { folder, count: 40, start: 7 });
  const read = await openLlavaJson(path);
  expect(read.length).toBe(40);
  for (let i = 0; i < 40; i++) expect(plain(await read.sample(i)) === plain(await source.sample(7 + i))).toBe(true);
  expect((await readFile(path, 'utf8')).startsWith('[\n{"id":"emoji-instruct-7","image')).toBe(true);
  await expect(exportLlavaJson(source, { folder, count: 0 })).rejects.toThrow('export: expected a count from 1 to');
  await expect(exportLlavaJson(source, { folder: path, count: 1 })).rejects.toThrow(/^export: expected to write to/);
  await rm(folder, { recursive: true });
});
