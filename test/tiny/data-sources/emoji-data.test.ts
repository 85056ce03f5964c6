import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import {
  attributions,
  type EmojiData,
  emojiTest,
  fetchPackages,
  GROUPS,
  openEmojiData,
  type TestQuestion,
} from '../../../src/data/index.ts';
import { buildConcepts, type Concept, readNames } from '../../../src/data/sources/emoji/concepts.ts';
import { readEmojiFont } from '../../../src/data/sources/emoji/font.ts';
import { readIcons, readNamedIcons } from '../../../src/data/sources/emoji/icons.ts';
import { OLD_NAMES } from '../../../src/data/sources/emoji/old-names.ts';
import { ask, NUMBERS, withArticle } from '../../../src/data/sources/emoji/phrases.ts';
import { DRAWN, ICONS, makeCache } from './emoji-fixture.ts';

/** A second when the machine is free; more than the usual limit when it is not. */
const SLOW = { timeout: 60_000 };

let cacheDir: string;
let concepts: Concept[];

beforeAll(async () => {
  cacheDir = await makeCache();
  concepts = buildConcepts(await readNames(join(cacheDir, 'npm', 'node_modules', 'emojibase-data')));
}, 60_000);
afterAll(() => rm(cacheDir, { recursive: true }));

const conceptOf = (name: string) => concepts.find(concept => concept.name === name)!;

test('every concept of the vocabulary is a Unicode emoji, under a name of its own', () => {
  expect(concepts.length).toBeGreaterThan(1100);
  expect(new Set(concepts.map(({ name }) => name)).size).toBe(concepts.length);
  expect(concepts.map(({ id }) => id)).toEqual(concepts.map((_, i) => i));
  expect(concepts.filter(({ name }) => !/^[a-z][a-z' -]*$/.test(name))).toEqual([]);
  const members = concepts.flatMap(concept => concept.members);
  expect(new Set(members).size).toBe(members.length);
});

test('old names lead to emoji that exist', async () => {
  const names = await readNames(join(cacheDir, 'npm', 'node_modules', 'emojibase-data'));
  const targets = [...OLD_NAMES.values()].flatMap(table => [...table.values()]);
  expect(targets.filter(name => !names.has(name))).toEqual([]);
});

test('one concept in twenty of every group is held out, always the same, none that only colour tells apart', () => {
  for (const group of GROUPS) {
    const all = concepts.filter(concept => concept.group === group);
    const heldOut = all.filter(concept => concept.heldOut);
    expect(heldOut.length).toBeGreaterThan(0);
    expect(Math.abs(heldOut.length - all.length / 20)).toBeLessThanOrEqual(3);
    expect(heldOut.some(concept => concept.colourBound)).toBe(false);
  }
  const names = concepts.filter(concept => concept.heldOut && concept.group === 'animal').map(({ name }) => name);
  expect(names).toEqual(['paw prints', 'penguin', 'peacock', 'turtle', 'seashell', 'scorpion']);
});

test('flags of concepts: colour, orientation, variants', () => {
  expect([conceptOf('red apple'), conceptOf('blue heart')].every(concept => concept.colourBound)).toBe(true);
  expect([conceptOf('banana'), conceptOf('red envelope')].some(concept => concept.colourBound)).toBe(false);
  expect([conceptOf('left arrow'), conceptOf('thumbs up')].every(concept => concept.oriented)).toBe(true);
  expect(conceptOf('dog').oriented).toBe(false);
  expect(conceptOf('cook').codes).toEqual(['1f9d1-200d-1f373', '1f468-200d-1f373', '1f469-200d-1f373']);
  expect(conceptOf('dog').members[0]).toBe('1f436');
});

test('articles and number', () => {
  const expected: Record<string, string> = {
    'red apple': 'a red apple',
    umbrella: 'an umbrella',
    unicorn: 'a unicorn',
    hourglass: 'an hourglass',
    eyes: 'eyes',
    'drop of water': 'a drop of water',
    'money with wings': 'money with wings',
    sun: 'the sun',
    'ice cream': 'ice cream',
  };
  for (const [name, text] of Object.entries(expected)) expect(withArticle(name)).toBe(text);
  const questions = Array.from({ length: 20 }, (_, seed) => ask('yesno', new Rng(seed), 'scissors'));
  expect(new Set(questions)).toEqual(
    new Set(['Are these scissors?', 'Does the picture show scissors?', 'Are scissors in this image?']),
  );
});

test('drawings are rendered once and read from the cache afterwards, unless it is damaged', SLOW, async () => {
  const options = { cacheDir, imageSize: 24, onProgress: () => undefined };
  const data = await openEmojiData(options);
  expect(data.known.map(({ name }) => name)).toContain('dog');
  expect(data.drawings[conceptOf('dog').id]).toHaveLength(10);
  // The two black styles cannot show which heart it is.
  expect(data.drawings[conceptOf('blue heart').id]!.map(({ style }) => style.kind)).toEqual(Array(8).fill('colour'));
  const frog = data.drawings[conceptOf('frog').id]!;
  expect(frog.map(({ style, colour }) => [style.kind, colour])).toContainEqual(['ink', undefined]);
  expect(frog.filter(({ colour }) => colour === 'green')).toHaveLength(8);

  const again = await openEmojiData(options);
  expect(digest(again)).toBe(digest(data));
  const folder = join(cacheDir, 'drawings');
  const [file] = await readdir(folder);
  await truncate(join(folder, file!), 1000);
  expect(digest(await openEmojiData(options))).toBe(digest(data));
  await expect(openEmojiData({ ...options, imageSize: 3 })).rejects.toThrow(
    'expected an imageSize from 16 to 512, got 3',
  );
});

/** Of all drawings, with what is known of them. */
function digest(data: EmojiData): string {
  const hash = createHash('sha256');
  for (const { concept, style, code, colour, pixels } of data.drawings.flat()) {
    hash.update([concept.name, style.name, code, colour].join()).update(pixels);
  }
  return hash.digest('hex');
}

test('the test set is fixed, in the style never trained on, with the colours of its drawings', SLOW, async () => {
  const questions = await emojiTest({ cacheDir, imageSize: 48 });
  const kinds = new Set(questions.map(({ kind }) => kind));
  for (const kind of ['name', 'group', 'colour', 'yesno', 'same', 'count'] as const) expect(kinds).toContain(kind);
  expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
  for (const { kind, question, images, concept, answer } of questions) {
    expect(question.split('<image>\n').length - 1).toBe(images.length);
    expect(images.length).toBe(kind === 'same' ? 2 : 1);
    if (kind === 'name') expect(answer).toBe(concept);
    if (kind === 'group') expect(answer).toBe(conceptOf(concept).group);
    if (kind === 'count') expect(NUMBERS).toContain(answer);
    expect(conceptOf(concept).heldOut).toBe(kind.startsWith('unseen-'));
  }
  const colours = Object.fromEntries(questions.filter(q => q.kind === 'colour').map(q => [q.concept, q.answer]));
  expect(colours).toMatchObject({ banana: 'yellow', frog: 'green', dolphin: 'blue', elephant: 'grey', dog: 'brown' });
  for (const { images, answer } of questions.filter(({ kind }) => kind === 'count')) {
    expect(NUMBERS[countBlobs(images[0]!.data, 48) - 1]).toBe(answer);
  }
  const bytes = (list: readonly TestQuestion[]) =>
    JSON.stringify(list, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('base64') : v));
  expect(bytes(await emojiTest({ cacheDir, imageSize: 48 })) === bytes(questions)).toBe(true);
});

/** Connected areas that are not white. */
function countBlobs(data: Uint8Array, side: number): number {
  const left = new Set<number>();
  for (let p = 0; p < side * side; p++)
    if (Math.min(data[p * 3]!, data[p * 3 + 1]!, data[p * 3 + 2]!) < 200) left.add(p);
  let blobs = 0;
  for (const start of left) {
    blobs++;
    for (const pending = [start]; pending.length > 0; ) {
      const p = pending.pop()!;
      if (!left.delete(p)) continue;
      pending.push(p - 1, p + 1, p - side, p + side);
    }
  }
  return blobs;
}

test('icons are found by code point, by name, by an older name; aliases may mirror', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llava-icons-'));
  const codePoints = new Map([
    ['hand pointing', '1f449'],
    ['bullseye', '1f3af'],
    ['bear', '1f43b'],
  ]);
  const icons = {
    'hand-pointing': { body: '<path id="a"/>' },
    'direct-hit': { body: '<b/>' },
    'bear-face': { body: '<c/>' },
  };
  const write = (name: string, content: unknown) => writeFile(join(folder, name), JSON.stringify(content));
  await write('icons.json', { icons: { ...icons, 'bear-face-2': { body: '<d/>' } }, width: 10, height: 10 });
  await write('chars.json', {});
  const byName = await readIcons(folder, 'any', codePoints);
  expect([...byName.keys()].sort()).toEqual(['1f3af', '1f43b', '1f449']);
  expect(byName.get('1f43b')!.map(svg => /<[cd]\/>/.exec(svg)![0])).toEqual(['<c/>', '<d/>']);

  await write('icons.json', {
    icons,
    aliases: { left: { parent: 'hand-pointing', hFlip: true } },
    width: 10,
    height: 10,
  });
  await write('chars.json', { '1F448-FE0F': 'left' });
  const byCode = await readIcons(folder, 'any', codePoints);
  expect(byCode.get('1f448')).toEqual([
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10" color="#000">' +
      '<g transform="translate(10 0) scale(-1 1)"><path id="a"/></g></svg>',
  ]);
  await writeFile(join(folder, 'icons.json'), '{');
  await expect(readIcons(folder, 'any', codePoints)).rejects.toThrow('icons.json: expected an Iconify set, got');
  await rm(folder, { recursive: true });
});

test('what is in the cache is not fetched again; a failing npm is reported', async () => {
  const asked: string[] = [];
  const onDownload = (names: readonly string[]) => asked.push(...names);
  const present = { name: 'emojibase-data', version: '17.0.0' };
  const folderOf = await fetchPackages([present], { cacheDir, npm: 'no-such-command', onDownload });
  expect(folderOf('@a/b')).toBe(join(cacheDir, 'npm', 'node_modules', '@a', 'b'));
  expect(asked).toEqual([]);
  const absent = [{ name: 'emojibase-data', version: '1.0.0' }];
  const failing = (npm: string) => fetchPackages(absent, { cacheDir, npm, onDownload });
  await expect(failing(process.execPath)).rejects.toThrow(/fetch: expected .* install to succeed, got exit code 1/);
  expect(asked).toEqual(['emojibase-data@1.0.0']);
  if (process.platform !== 'win32') {
    await expect(failing('no-such-command')).rejects.toThrow('fetch: expected to run no-such-command, got');
  }
});

test('icons that are not emoji are found by the concepts’ names, misleading ones left out', async () => {
  const folder = join(cacheDir, 'npm', 'node_modules', '@iconify-json', 'mingcute');
  const codes = new Map(concepts.map(({ name, members }) => [name, members[0]!]));
  const found = await readNamedIcons(folder, { style: 'mingcute', suffix: '-line' }, codes);
  expect([...found.keys()].sort()).toEqual(ICONS.map(name => conceptOf(name).members[0]!).sort());
  expect((await readNamedIcons(folder, { style: 'mingcute', suffix: '-fill' }, codes)).size).toBe(0);
});

test('a font of emoji gives the drawings of its characters, and nothing for others', async () => {
  const folder = join(cacheDir, 'npm', 'node_modules', '@fontsource', 'noto-emoji');
  const wanted = [...ICONS, 'banana'].map(name => conceptOf(name).members[0]!);
  const found = await readEmojiFont(folder, 400, new Set([...wanted, '1f1e6-1f1e7']));
  expect([...found.keys()].sort()).toEqual(wanted.slice(0, -1).sort());
  const [svg] = found.get(wanted[0]!)!;
  expect(svg).toContain('viewBox="0 0 1000 1000"');
  await expect(readEmojiFont(folder, 900, new Set(wanted))).rejects.toThrow(
    'expected WOFF files of weight 900, got none',
  );
  const broken = await mkdtemp(join(tmpdir(), 'llava-font-'));
  await mkdir(join(broken, 'files'));
  await writeFile(join(broken, 'files', 'x-400-normal.woff'), 'not a font');
  await expect(readEmojiFont(broken, 400, new Set(wanted))).rejects.toThrow(
    /x-400-normal.woff: expected a WOFF font, got /,
  );
  await rm(broken, { recursive: true });
});

test('every style is attributed', () => {
  expect(attributions()).toHaveLength(29);
  expect(attributions().at(-1)).toMatch(/openmoji .* CC-BY-SA-4.0 \(test only\)$/);
  expect(Object.keys(DRAWN).length).toBeGreaterThan(2);
});
