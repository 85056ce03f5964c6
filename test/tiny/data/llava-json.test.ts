import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import { type LlavaJsonOptions, MissingImagesError, openLlavaJson, type Turn } from '../../../src/data/index.ts';
import { decodeImage } from '../../../src/processor/index.ts';

const IMAGES = join(import.meta.dirname, '../../golden/processor-image/files');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'llava-json-'));
  mkdirSync(join(folder, 'images/coco'), { recursive: true });
  copyFileSync(join(IMAGES, '420.jpg'), join(folder, 'images/coco/1.jpg'));
  copyFileSync(join(IMAGES, 'grey-8.png'), join(folder, 'images/2.png'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const turns = (question: string, answer: string): Turn[] => [
  { from: 'human', value: question },
  { from: 'gpt', value: answer },
];

/** Opens a dataset of this content, `images` beside it. */
function open(content: unknown, options: LlavaJsonOptions = { imageFolder: join(folder, 'images') }) {
  const file = join(folder, 'data.json');
  const raw = typeof content === 'string' || content instanceof Uint8Array;
  writeFileSync(file, raw ? content : JSON.stringify(content));
  return openLlavaJson(file, options);
}

/** Its error, without the folder. */
async function errorOf(content: unknown): Promise<string> {
  const error = await open(content).then(
    () => undefined,
    error => error,
  );
  expect(error).toBeInstanceOf(LlavaError);
  expect(error.message).not.toContain('\n');
  return error.message.replaceAll(`${folder}/`, '');
}

describe('rows', () => {
  test('images by name or list, without images, ids of any kind', async () => {
    const source = await open([
      { id: 'a', image: 'coco/1.jpg', conversations: turns('What? <image>', 'A thing') },
      { id: 7, image: ['2.png', 'coco/1.jpg'], conversations: turns('<image> or <image>', 'Both') },
      { conversations: turns('Hi', 'Hello there'), model: '' },
      { id: 'x', image: null, conversations: [{ from: 'gpt', value: 'skipped' }, ...turns('Hi', 'Hello')] },
    ]);
    expect([source.name, source.length]).toEqual(['data.json', 4]);
    expect([0, 1, 2, 3].map(i => source.describe!(i))).toMatchObject([
      { words: 4, modality: 'image' },
      { words: 4, modality: 'image' },
      { words: 3, modality: 'text' },
      { words: 2, modality: 'text' },
    ]);
    const [jpg, png] = [await decodeImage(join(IMAGES, '420.jpg')), await decodeImage(join(IMAGES, 'grey-8.png'))];
    expect(await source.sample(0)).toEqual({
      id: 'a',
      images: [jpg],
      conversations: turns('<image>\nWhat?', 'A thing'),
    });
    expect(await source.sample(1)).toMatchObject({ id: '7', images: [png, jpg] });
    expect((await source.sample(2)).id).toMatch(/data\.json\[2\]$/);
    expect((await source.sample(3)).conversations).toEqual(turns('Hi', 'Hello'));
  });

  const text = fc
    .oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('"', '\\', '}{][,', '\\"', '\n'))
    .map(value => value.replaceAll('<image>', ''));
  const space = fc.constantFrom('', ' ', '\n', '\r\n\t');

  test('a list and JSON Lines hold the same rows, whatever the text and the spaces', async () => {
    const rows = fc.array(fc.tuple(text, text, space), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(rows, fc.boolean(), fc.boolean(), async (list, isList, bom) => {
        const rows = list.map(([question, answer]) => ({ id: 'r', conversations: turns(question, answer) }));
        const texts = rows.map((row, i) => list[i]![2] + JSON.stringify(row) + list[i]![2]);
        const source = await open((bom ? '\ufeff' : '') + (isList ? ` [${texts.join(',')}]\n` : texts.join('\n')));
        expect(source.length).toBe(rows.length);
        for (const [i, row] of rows.entries()) expect(await source.sample(i)).toEqual({ ...row, images: [] });
      }),
      { numRuns: 40 },
    );
  });

  test('rows go across the ends of the chunks that the file is read in', async () => {
    for (const shift of ['', 'x', 'xx']) {
      const rows = ['"}', 'é{'].map(part => turns(shift, part.repeat(400_000)));
      const source = await open(rows.map(conversations => ({ id: 'r', conversations })));
      for (const [i, row] of rows.entries()) {
        const { conversations } = await source.sample(i);
        expect(conversations[1]!.value === row[1]!.value).toBe(true);
      }
    }
  });
});

describe('images', () => {
  const row = (image: unknown) => ({ id: 'r', image, conversations: turns('<image>\nWhat?', 'A thing') });

  test('are found under another ending, and beside the file by default', async () => {
    const source = await open([row('2.jpg'), row('coco/1.webp'), row('coco/1')]);
    const png = await decodeImage(join(IMAGES, 'grey-8.png'));
    expect((await source.sample(0)).images).toEqual([png]);
    expect((await source.sample(1)).images).toEqual((await source.sample(2)).images);
    expect((await open([row('images/2.png')], {})).length).toBe(1);
  });

  test('all that are missing are known before the first sample', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `coco/${i + 2}.jpg`);
    const rows = [row('2.png'), ...names.map(row), ...names.map(row)];
    const error: MissingImagesError = await open(rows).catch(error => error);
    expect(error).toBeInstanceOf(MissingImagesError);
    expect(error.images).toEqual(names);
    expect(await errorOf(rows)).toMatch(
      /^data\.json: expected image files in images, got 30 missing: coco\/2\.jpg, .*coco\/21\.jpg and 10 more$/,
    );
    expect(await errorOf([row('none.png'), row('coco')])).toBe(
      'data.json: expected image files in images, got 2 missing: none.png, coco',
    );
  });

  test.each([
    '../2.png',
    'coco/../2.png',
    'coco/../../2.png',
    '..\\2.png',
    '/etc/passwd',
    '\\\\host\\2.png',
    'C:\\2.png',
    'c:2.png',
    '2.png\0',
    '',
  ])('%j leads out of the folder', async image => {
    expect(await errorOf([row('2.png'), row(image)])).toBe(
      `data.json[1]: expected a path inside the image folder, got ${image}`,
    );
  });

  test('links lead where they lead; a file that is no image is named when it is read', async () => {
    symlinkSync(join(folder, 'images/coco'), join(folder, 'images/link'));
    writeFileSync(join(folder, 'images/broken.jpg'), 'no image');
    const source = await open([row('link/1.jpg'), row('broken.jpg')]);
    expect((await source.sample(0)).images.length).toBe(1);
    await expect(source.sample(1)).rejects.toThrow(/broken\.jpg: expected a JPEG, PNG, WebP or GIF image/);
  });
});

describe('bad rows', () => {
  const good = { id: 'a', conversations: turns('Q', 'A') };
  const withTurns = (conversations: unknown) => [good, { id: 'b', conversations }];
  const [q, a] = turns('Q', 'A') as [Turn, Turn];
  const json = JSON.stringify(good);
  const end = json.length;

  test.each<[string, unknown]>([
    ['data.json[1].conversations: expected a list of turns, got nothing', [good, { id: 'b' }]],
    ['data.json[1].conversations: expected a list of turns, got "Q"', withTurns('Q')],
    ['data.json[1].conversations: expected a human turn and an answer, got 0 turns', withTurns([])],
    ['data.json[1].conversations: expected a human turn and an answer, got 1 turns', withTurns([q])],
    ['data.json[1].conversations[1].from: expected human or gpt, got "user"', withTurns([q, { ...a, from: 'user' }])],
    ['data.json[1].conversations[0].from: expected human or gpt, got nothing', withTurns([null, a])],
    ['data.json[1].conversations[1].value: expected text, got 5', withTurns([q, { from: 'gpt', value: 5 }])],
    ['data.json[1].conversations[1].from: expected gpt, as turns alternate, got "human"', withTurns([q, q, a])],
    ['data.json[1].conversations[2].from: expected gpt, as turns alternate, got "human"', withTurns([a, q, q, a])],
    ['data.json[1].image: expected a path or a list of paths, got 5', [good, { ...good, image: 5 }]],
    [
      'data.json[1].image: expected a path or a list of paths, got ["2.png",null]',
      [good, { ...good, image: ['2.png', null] }],
    ],
    ['data.json[1]: expected as many <image> marks as images, 1, got 0', [good, { ...good, image: '2.png' }]],
    ['data.json[1]: expected as many <image> marks as images, 0, got 1', withTurns(turns('<image>', 'A'))],
    ['data.json: expected at least one row, got none', []],
    [`data.json[1]: expected a row {…}, got "5" at byte ${end + 2}`, `[${json},5]`],
    ['data.json[0]: expected a row {…} or ], got "n" at byte 1', '[null]'],
    [`data.json[1]: expected a row {…}, got "]" at byte ${end + 2}`, `[${json},]`],
    [`data.json[1]: expected a comma or ] after the row before, got "{" at byte ${end + 1}`, `[${json}{}]`],
    ['data.json[1]: expected a comma or ] after the row before, got the end of the file', `[${json}`],
    ['data.json[1]: expected the end of the row, got the end of the file', `[${json},{"id": "b`],
    [`data.json[1]: expected the end of the file, got "x" at byte ${end + 2}`, `[${json}]x`],
    [`data.json[1]: expected a row {…}, got "," at byte ${end}`, `${json},`],
    ['data.json: expected a JSON list of rows, or a row {…} a line, got "i" at byte 0', 'id,image'],
    ['data.json: expected a JSON list of rows, or a row {…} a line, got the end of the file', ' \n'],
  ])('%s', async (message, content) => {
    expect(await errorOf(content)).toBe(message);
  });

  test('rows that are not JSON or not UTF-8', async () => {
    expect(await errorOf('[{"id": 1, nope}]')).toMatch(/^data\.json\[0\]: expected a JSON object, got .*JSON/);
    expect(await errorOf('[{"id": ]}')).toMatch(/^data\.json\[0\]: expected a JSON object, got /);
    const latin = Buffer.from('[{"id": "\u00e9"}]', 'latin1');
    expect(await errorOf(latin)).toMatch(/^data\.json\[0\]: expected a JSON object, got .*utf-8/i);
  });

  test('a row without end is refused, not gathered', async () => {
    expect(await errorOf(`[{"id": "${'x'.repeat(17_000_000)}`)).toBe(
      'data.json[0]: expected a row of at most 16777216 bytes, got more',
    );
  });

  test('files that cannot be read', async () => {
    const none = join(folder, 'none.json');
    await expect(openLlavaJson(none)).rejects.toThrow(`${none}: expected a readable file, got ENOENT: no such file`);
    await expect(openLlavaJson(folder)).rejects.toThrow(`${folder}: expected a file, got a folder or device`);
  });

  test('any bytes at all give rows or an error of one line', async () => {
    const character = fc.constantFrom('{', '}', '[', ']', ',', '"', '\\', '\n', 'a', '1', ':');
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: character, maxLength: 30 }), async content => {
        await errorOf(content);
      }),
      { numRuns: 60 },
    );
  });
});
