import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import {
  type EasyVqaImage,
  easyVqaQuestions,
  easyVqaSource,
  openEasyVqa,
  type Sample,
} from '../../../src/data/index.ts';
import { type QuestionAnswer, recoverScene, sceneCaption } from '../../../src/data/sources/easy-vqa-caption.ts';
import { readTar } from '../../../src/data/sources/tar.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/data-sources/easy-vqa');
const SUBSET = join(GOLDEN, 'subset.tar');
const bytesOf = (name: string): Uint8Array => readFileSync(join(GOLDEN, name));

const folder = mkdtempSync(join(tmpdir(), 'llava-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file in the test's folder. */
function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

describe('readTar', () => {
  test("reads what Python's tarfile reads", () => {
    const { names } = JSON.parse(readFileSync(join(GOLDEN, 'golden.json'), 'utf8')) as {
      names: Record<string, string>;
    };
    const files = [...readTar(bytesOf('names.tar'), 'names.tar')];
    expect(Object.fromEntries(files.map(([name, data]) => [name, Buffer.from(data).toString('hex')]))).toEqual(names);
  });

  test.each([
    ['nothing', new Uint8Array(0)],
    ['an empty archive', new Uint8Array(1024)],
    ['a short file', new Uint8Array(511).fill(1)],
  ])('refuses %s', (_, bytes) => {
    expect(() => readTar(bytes, 'a.tar')).toThrow(/a\.tar: expected a tar archive, got \d+ bytes/);
  });

  test('refuses text', () => {
    const bytes = new TextEncoder().encode('not a tar archive '.repeat(100));
    expect(() => readTar(bytes, 'a.tar')).toThrow(LlavaError);
  });

  test('refuses an archive that ends within a file', () => {
    const whole = bytesOf('subset.tar');
    const cut = whole.subarray(0, 512 + 512 + 600);
    expect(() => readTar(cut, 'a.tar')).toThrow(/a\.tar: expected \d+ bytes at 1024, got 600, the end/);
  });

  test('never fails in another way, whatever byte is changed', () => {
    const whole = bytesOf('names.tar').subarray(0, 4096);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
        const bytes = whole.slice(0, length);
        if (at < length) bytes[at] = value;
        try {
          for (const data of readTar(bytes, 'a.tar').values()) expect(data.length).toBeLessThanOrEqual(length);
        } catch (error) {
          expect(error).toBeInstanceOf(LlavaError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

const SHAPES = ['circle', 'rectangle', 'triangle'];
const COLORS = ['black', 'blue', 'brown', 'gray', 'green', 'red', 'teal', 'yellow'];
const asked = (...pairs: [string, string][]): QuestionAnswer[] =>
  pairs.map(([question, answer]) => ({ question, answer }));

describe('recoverScene', () => {
  test.each<[string, [string, string][], string | undefined, string | undefined]>([
    ['asked shape', [['what shape is in the image?', 'circle']], 'circle', undefined],
    ['asked colour', [['what color is the shape?', 'gray']], undefined, 'gray'],
    ['shape of a colour', [['what is the blue shape?', 'rectangle']], 'rectangle', 'blue'],
    ['colour of a shape', [['what is the color of the triangle?', 'red']], 'triangle', 'red'],
    ['presence', [['is there a teal shape?', 'yes']], undefined, 'teal'],
    ['denied absence', [['is no circle present?', 'no']], 'circle', undefined],
    ['negation in the middle', [['does the image not contain a yellow shape?', 'no']], undefined, 'yellow'],
    [
      'the one that is left',
      [
        ['is there a circle?', 'no'],
        ['is there not a rectangle in the image?', 'yes'],
      ],
      'triangle',
      undefined,
    ],
    ['absence of one', [['is there a circle?', 'no']], undefined, undefined],
    ['nothing', [], undefined, undefined],
  ])('%s', (_, pairs, shape, color) => {
    expect(recoverScene(asked(...pairs))).toEqual({ shape, color });
  });

  test('never contradicts the image that the questions are about', () => {
    const templates = [
      (word: string) => ({ question: `is there a ${word}?`, negated: false }),
      (word: string) => ({ question: `does the image contain a ${word}?`, negated: false }),
      (word: string) => ({ question: `is no ${word} present?`, negated: true }),
      (word: string) => ({ question: `is there not a ${word} in the image?`, negated: true }),
    ];
    const about = fc.record({ template: fc.constantFrom(...templates), word: fc.constantFrom(...SHAPES, ...COLORS) });
    fc.assert(
      fc.property(fc.constantFrom(...SHAPES), fc.constantFrom(...COLORS), fc.array(about), (shape, color, list) => {
        const questions = list.map(({ template, word }) => {
          const { question, negated } = template(SHAPES.includes(word) ? word : `${word} shape`);
          return { question, answer: (word === shape || word === color) !== negated ? 'yes' : 'no' };
        });
        const scene = recoverScene(questions);
        expect([undefined, shape]).toContain(scene.shape);
        expect([undefined, color]).toContain(scene.color);
      }),
    );
  });

  test('a caption needs both', () => {
    expect(sceneCaption({ shape: 'circle', color: 'blue' })).toBe('a blue circle');
    expect(sceneCaption({ shape: 'circle', color: undefined })).toBeUndefined();
    expect(sceneCaption({ shape: undefined, color: 'blue' })).toBeUndefined();
  });
});

/** The same with its images as base64 text, which compares much faster. */
function short<T extends { readonly images: Sample['images'] }>(item: T) {
  return { ...item, images: item.images.map(({ data }) => Buffer.from(data).toString('base64')) };
}

describe('easy-VQA', () => {
  let images: EasyVqaImage[];
  beforeAll(async () => {
    images = await openEasyVqa(SUBSET, 'train');
  });

  test('is read from a tar archive', async () => {
    expect(images.map(({ number, caption, questions }) => [number, caption, questions.length])).toEqual([
      [0, 'a blue rectangle', 12],
      [1, 'a blue triangle', 6],
      [2, 'a red triangle', 9],
      [5, 'a yellow triangle', 9],
      [6, 'a red circle', 13],
      [16, 'a blue circle', 10],
    ]);
    const pixels = await images[0]!.pixels();
    expect([pixels.width, pixels.height]).toEqual([64, 64]);
    const rectangle = 3 * (48 * 64 + 40);
    expect([...pixels.data.subarray(rectangle, rectangle + 3)]).toEqual([0, 0, 255]);
  });

  test('is read from a folder', async () => {
    for (const [name, data] of readTar(bytesOf('subset.tar'), '')) write(`extracted/${name}`, data);
    const extracted = await openEasyVqa(join(folder, 'extracted/easy-vqa'), 'test');
    const archived = await openEasyVqa(SUBSET, 'test');
    expect((await easyVqaQuestions(extracted)).map(short)).toEqual((await easyVqaQuestions(archived)).map(short));
  });

  test('gives test questions, each alone with its image', async () => {
    const questions = await easyVqaQuestions(await openEasyVqa(SUBSET, 'test'));
    expect(questions.slice(0, 4)).toMatchObject([
      { id: '0-0', kind: 'shape', question: '<image>\nwhat is the red shape?', answer: 'triangle' },
      { id: '0-1', kind: 'color', question: '<image>\nwhat is the color of the triangle?', answer: 'red' },
      { id: '0-2', kind: 'color', question: '<image>\nwhat is the color of the shape?', answer: 'red' },
      { id: '0-3', kind: 'yesno', question: '<image>\ndoes the image contain a circle?', answer: 'no' },
    ]);
    expect(questions).toHaveLength(18);
    expect(questions[0]!.images[0]).toBe(questions[3]!.images[0]);
  });

  const sampleAt = async (options: Parameters<typeof easyVqaSource>[1], index: number): Promise<Sample> =>
    easyVqaSource(images, options).sample(index);

  test('goes through all images before it shows one again', async () => {
    const source = easyVqaSource(images, { task: 'caption', seed: 3 });
    for (const epoch of [0, 1]) {
      const samples = await Promise.all(images.map((_, i) => source.sample(epoch * images.length + i)));
      const captions = samples.map(({ conversations }) => conversations[1]!.value).sort();
      expect(captions).toEqual(images.map(({ caption }) => caption!).sort());
    }
  });

  test('a sample depends on seed and index alone', async () => {
    const backwards = easyVqaSource(images, { task: 'vqa', seed: 1, mirror: true });
    for (const index of [20, 7, 0]) {
      const forwards = await sampleAt({ task: 'vqa', seed: 1, mirror: true }, index);
      expect(short(await backwards.sample(index))).toEqual(short(forwards));
    }
    const conversations = (sample: Sample) => sample.conversations;
    expect(conversations(await sampleAt({ task: 'vqa', seed: 1 }, 0))).not.toEqual(
      conversations(await sampleAt({ task: 'vqa', seed: 2 }, 0)),
    );
  });

  test('vqa: the questions of an image in changing order, the image before the first', async () => {
    const [one] = images;
    const source = easyVqaSource([one!], { task: 'vqa' });
    const [first, second] = [await source.sample(0), await source.sample(1)];
    for (const { conversations, images: shown } of [first, second]) {
      expect(shown).toHaveLength(1);
      expect(conversations.map(turn => turn.value.includes('<image>'))).toEqual(conversations.map((_, i) => i === 0));
      const pairs = conversations.flatMap(({ from, value }, i) =>
        from === 'human' ? [{ question: value.replace('<image>\n', ''), answer: conversations[i + 1]!.value }] : [],
      );
      const sorted = (list: readonly QuestionAnswer[]) => list.map(({ question, answer }) => question + answer).sort();
      expect(sorted(pairs)).toEqual(sorted(one!.questions));
    }
    expect(first.conversations).not.toEqual(second.conversations);
  });

  test('vqa: as many turns as asked for', async () => {
    expect((await sampleAt({ task: 'vqa', turns: 2 }, 0)).conversations).toHaveLength(4);
  });

  test('text: caption, question and answer, without image', async () => {
    const line = ({ caption, questions }: EasyVqaImage) =>
      questions.map(({ question, answer }) => `${caption === undefined ? '' : `${caption}. `}${question} ${answer}`);
    const uncaptioned = { ...images[0]!, caption: undefined };
    const all = [uncaptioned, ...images.slice(1)];
    const source = easyVqaSource(all, { task: 'text' });
    for (let i = 0; i < 40; i++) {
      const { images: none, conversations } = await source.sample(i);
      expect(none).toEqual([]);
      expect(all.flatMap(line)).toContain(conversations[1]!.value);
    }
  });

  test('mirrors about half of the images', async () => {
    const [one] = images;
    const plain = await one!.pixels();
    const source = easyVqaSource([one!], { task: 'caption', mirror: true });
    const shown = await Promise.all(Array.from({ length: 40 }, (_, i) => source.sample(i)));
    const flipped = shown.filter(({ images: [image] }) => image!.data !== plain.data);
    expect(flipped.length).toBeGreaterThan(10);
    expect(flipped.length).toBeLessThan(30);
    const pixel = (data: Uint8Array, x: number, y: number) => [
      ...data.subarray(3 * (64 * y + x), 3 * (64 * y + x) + 3),
    ];
    const { data } = flipped[0]!.images[0]!;
    for (const [x, y] of [
      [0, 0],
      [40, 48],
      [63, 63],
    ] as const) {
      expect(pixel(data, 63 - x, y)).toEqual(pixel(plain.data, x, y));
    }
  });

  test('captions need images whose questions tell what they show', () => {
    const vague: EasyVqaImage = { ...images[0]!, caption: undefined };
    expect(() => easyVqaSource([vague], { task: 'caption' })).toThrow('expected images for the task caption, got none');
  });

  test.each<[string, () => string, RegExp]>([
    ['a missing path', () => join(folder, 'none'), /expected the dataset's folder or tar archive, got .*none/],
    [
      'an empty folder',
      () => dirname(write('empty/x', '')),
      /expected a file test\/questions\.json of easy-VQA, got none/,
    ],
    ['something else', () => write('a.txt', 'hello'), /a\.txt: expected a tar archive/],
    ['an archive of something else', () => join(GOLDEN, 'names.tar'), /expected a file test\/questions\.json/],
    ['no JSON', () => dirname(dirname(write('b/test/questions.json', '['))), /questions\.json: expected JSON/],
    ['no questions', () => dirname(dirname(write('c/test/questions.json', '[]'))), /expected a list of questions/],
    [
      'a broken row',
      () => dirname(dirname(write('d/test/questions.json', '[["a","b",1],["a",2,3]]'))),
      /row 1: expected \[question, answer, image number\], got \["a",2,3\]/,
    ],
  ])('refuses %s', async (_, path, message) => {
    const error = await openEasyVqa(path(), 'test').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LlavaError);
    expect((error as Error).message).toMatch(message);
  });

  test('names the image that is missing', async () => {
    write('e/test/questions.json', '[["what?","yes",7]]');
    const [image] = await openEasyVqa(join(folder, 'e'), 'test');
    await expect(image!.pixels()).rejects.toThrow(/expected a file test\/images\/7\.png of easy-VQA, got none/);
  });
});
