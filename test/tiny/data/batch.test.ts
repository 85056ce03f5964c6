import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type HostTensor, LlavaError } from '../../../src/core/index.ts';
import {
  type Batch,
  buildExample,
  collate,
  collateClip,
  type Example,
  IMAGE_TOKEN_INDEX,
  type Sample,
  stackPixels,
  type Turn,
  textExample,
} from '../../../src/data/index.ts';
import { getTemplate, solidImage, type Tokenizer, tokenizerFromModel, trainBpe } from '../../../src/processor/index.ts';

const IMAGE_TOKENS = 9;
/** Without the system text, which would be most of each example. */
const TEMPLATE = { ...getTemplate('v1'), system: '' };
const RUNS = { numRuns: 40 };
const modelFile = join(import.meta.dirname, '../../golden/data/label-masks.model.gz');
/** One tokenizer without `<image>` (original LLaVA), one with (Hugging Face). */
const TOKENIZERS: Record<string, Tokenizer> = {
  llava: tokenizerFromModel(gunzipSync(readFileSync(modelFile))),
  hf: trainBpe(['what is it', 'a dog and a cat', 'USER ASSISTANT'], {
    vocabSize: 300,
    specialTokens: ['<pad>', '<image>'],
  }).tokenizer,
};

/** `#3` is an image of which all three levels are 3. */
const preprocess = (image: { data: Uint8Array }) => new Float32Array(3).fill(image.data[0]!);

const imageRows = () => ({ rows: Array.from({ length: IMAGE_TOKENS }, (_, i) => i), featureRows: IMAGE_TOKENS });

function exampleOf(sample: Sample, maxLength: number, tokenizer = TOKENIZERS.hf!): Example {
  return buildExample(sample, {
    tokenizer,
    template: TEMPLATE,
    preprocess,
    imageRows,
    maxLength,
  });
}

/** Conversations of up to 3 rounds with up to 2 images each turn; images are numbered by `number`. */
const words = fc.array(fc.constantFrom('what', 'dog', 'a', 'ü', '7'), { maxLength: 4 }).map(list => list.join(' '));
const round = fc.record({ images: fc.nat(2), question: words, answer: words });
const sample = fc.record({ rounds: fc.array(round, { minLength: 1, maxLength: 3 }), number: fc.nat(50) }).map(toSample);

function toSample({
  rounds,
  number,
}: {
  rounds: { images: number; question: string; answer: string }[];
  number: number;
}) {
  const count = rounds.reduce((sum, { images }) => sum + images, 0);
  const conversations = rounds.flatMap(({ images, question, answer }): Turn[] => [
    { from: 'human', value: '<image>\n'.repeat(images) + question },
    { from: 'gpt', value: answer },
  ]);
  const images = Array.from({ length: count }, (_, i) => solidImage(1, 1, [number + i, 0, 0]));
  return { id: `sample ${number}`, images, conversations };
}

const numbers = ({ data }: HostTensor): number[] => Array.from(data as ArrayLike<number | bigint>, Number);

/** What the model makes of a batch: at each position a token, or the feature row of a picture as `picture:row`. */
function read({ feeds }: Batch) {
  const [count, length] = feeds.ids.shape as [number, number];
  const pictures = Array.from({ length: feeds.pixels.shape[0]! }, (_, n) => feeds.pixels.data[n * 3]);
  const rows = pictures.flatMap(picture => Array.from({ length: IMAGE_TOKENS }, (_, m) => `${picture}:${m}`));
  const merged = [...numbers(feeds.ids), ...rows];
  const flat = numbers(feeds.source).map(i => merged[i]);
  return Array.from({ length: count }, (_, b) => flat.slice(b * length, (b + 1) * length));
}

/** The same of an example. */
function readExample({ ids, images }: Example) {
  let feature = 0;
  return ids.map(id => {
    if (id !== IMAGE_TOKEN_INDEX) return id;
    const place = `${images[Math.floor(feature / IMAGE_TOKENS)]!.pixels[0]}:${feature % IMAGE_TOKENS}`;
    feature++;
    return place;
  });
}

test('images of several tiles: rows of features out of order, left out, and the newline after all of them', () => {
  const grids = [
    { rows: [0, 3, 1, -1], featureRows: 6 },
    { rows: [4, -1], featureRows: 5 },
  ];
  const one = (image: number): Example => ({
    id: 'grid',
    ids: [7, ...Array<number>(grids[image]!.rows.length).fill(IMAGE_TOKEN_INDEX), 8],
    trained: [false, ...grids[image]!.rows.map(() => false), true],
    images: [{ ...grids[image]!, pixels: new Float32Array(3 * (2 - image)).fill(image) }],
    truncated: false,
  });
  const { feeds } = collate([one(0), one(1)], { imageSize: 1 });
  expect(feeds.pixels.shape).toEqual([3, 3, 1, 1]);
  // Tokens take 0 … 11, features of the first image 12 … 17, of the second 18 … 22, the newline 23.
  expect(numbers(feeds.source)).toEqual([0, 12, 15, 13, 23, 5, 6, 22, 23, 9, 10, 11]);
});

const targetsOf = (example: Example): number => example.trained.filter((trained, t) => trained && t > 0).length;

describe('collate', () => {
  /** Examples cut anywhere, and a whole one after them. */
  const examples = fc
    .tuple(fc.array(fc.tuple(sample, fc.integer({ min: 1, max: 120 })), { maxLength: 4 }), sample)
    .map(([list, last]) => [...list.map(([one, maxLength]) => exampleOf(one, maxLength)), exampleOf(last, 100_000)]);

  test('each position holds the token or feature row of its example, in order; the rest is padding', () => {
    fc.assert(
      fc.property(examples, list => {
        const kept = list.filter(example => targetsOf(example) > 0);
        const sequences = read(collate(list, { imageSize: 1 }));
        expect(sequences.length).toBe(kept.length);
        for (const [b, example] of kept.entries()) {
          expect(sequences[b]!.slice(0, example.ids.length)).toEqual(readExample(example));
          expect(sequences[b]!.slice(example.ids.length).every(id => id === 0)).toBe(true);
        }
      }),
      RUNS,
    );
  });

  test('targets are the trained tokens, each of the row before it, and never padding or an image', () => {
    fc.assert(
      fc.property(examples, list => {
        const kept = list.filter(example => targetsOf(example) > 0);
        const { feeds } = collate(list, { imageSize: 1 });
        const length = feeds.ids.shape[1]!;
        const expected = kept.flatMap(({ ids, trained }, b) =>
          ids.flatMap((id, t) => (trained[t] && t > 0 ? [[b * length + t - 1, id]] : [])),
        );
        const rows = numbers(feeds.rows);
        const got = rows.map((row, r) => [row, Number(feeds.targets.data[r])]);
        expect(got).toEqual(expected);
        for (const row of rows) {
          expect((row % length) + 1).toBeLessThan(kept[Math.floor(row / length)]!.ids.length);
          expect(feeds.source.data[row + 1]).toBe(BigInt(row + 1));
        }
      }),
      RUNS,
    );
  });

  test('counts tokens, cuts and what is left out', () => {
    fc.assert(
      fc.property(examples, list => {
        const kept = list.filter(example => targetsOf(example) > 0);
        const batch = collate(list, { imageSize: 1 });
        expect(batch.tokens).toBe(kept.reduce((sum, { ids }) => sum + ids.length, 0));
        expect(batch.truncated).toBe(list.filter(example => example.truncated).length);
        expect(batch.skipped).toBe(list.length - kept.length);
      }),
      RUNS,
    );
  });

  test('a cut through an image leaves the features of the next example in place', () => {
    const rounds = [1, 1].map(images => ({ images, question: 'what', answer: 'dog' }));
    const whole = exampleOf(toSample({ rounds, number: 10 }), 100_000);
    const lastImage = whole.ids.lastIndexOf(IMAGE_TOKEN_INDEX);
    const cut = exampleOf(toSample({ rounds, number: 20 }), lastImage - 3);
    const [first, second] = read(collate([cut, whole], { imageSize: 1 }));
    expect(first!.slice(0, cut.ids.length)).toEqual(readExample(cut));
    expect(second).toEqual(readExample(whole));
  });

  test('refuses a batch without targets, and says why there are none', () => {
    const cut = exampleOf(toSample({ rounds: [{ images: 1, question: 'what', answer: 'dog' }], number: 1 }), 5);
    expect(() => collate([cut, cut], { imageSize: 1 })).toThrow(
      'batch of sample 1, sample 1: expected a trained token, got none (2 of 2 examples were cut)',
    );
    const onlyFirst = textExample(['a dog'], TOKENIZERS.hf!, 1); // a first token has nothing before it
    expect(() => collate([onlyFirst], { imageSize: 1 })).toThrow('batch of text: expected a trained token, got none');
  });
});

describe.each(Object.entries(TOKENIZERS))('buildExample, %s encoding', (_, tokenizer) => {
  test('images are runs of positions that are not trained; a cut keeps the beginning', () => {
    fc.assert(
      fc.property(sample, fc.integer({ min: 1, max: 150 }), (one, maxLength) => {
        const whole = exampleOf(one, 100_000, tokenizer);
        expect(whole.ids.filter(id => id === IMAGE_TOKEN_INDEX).length).toBe(one.images.length * IMAGE_TOKENS);
        expect(whole.ids.some((id, t) => id === IMAGE_TOKEN_INDEX && whole.trained[t])).toBe(false);
        const cut = exampleOf(one, maxLength, tokenizer);
        expect([cut.ids, cut.trained]).toEqual([whole.ids.slice(0, maxLength), whole.trained.slice(0, maxLength)]);
        expect(cut.truncated).toBe(whole.ids.length > maxLength);
        const positions = cut.ids.filter(id => id === IMAGE_TOKEN_INDEX).length;
        expect(cut.images.length * IMAGE_TOKENS - positions).toBeGreaterThanOrEqual(0);
        expect(cut.images.length * IMAGE_TOKENS - positions).toBeLessThan(IMAGE_TOKENS);
      }),
      RUNS,
    );
  });

  test('what is trained reads as the answers', () => {
    const turns: Turn[] = [
      { from: 'human', value: '<image>\nwhat is it' },
      { from: 'gpt', value: 'a dog' },
      { from: 'human', value: 'what' },
      { from: 'gpt', value: 'a cat' },
    ];
    const { ids, trained } = exampleOf(
      { id: 'x', images: [solidImage(1, 1, [0, 0, 0])], conversations: turns },
      999,
      tokenizer,
    );
    const answers = tokenizer.decode(ids.filter((_, t) => trained[t]));
    expect(answers.replace(/^ /, '')).toBe('a dog</s> a cat</s>');
  });

  test.each([0, 2])('refuses one mark for %i images', count => {
    const images = Array.from({ length: count }, () => solidImage(1, 1, [0, 0, 0]));
    const conversations: Turn[] = [
      { from: 'human', value: '<image>' },
      { from: 'gpt', value: 'a' },
    ];
    expect(() => exampleOf({ id: '7', images, conversations }, 99, tokenizer)).toThrow(
      `sample 7: expected ${count} <image> marks, got 1`,
    );
  });
});

describe('text and captions', () => {
  const tokenizer = TOKENIZERS.hf!;

  test('texts share a row, each with BOS and EOS, all trained', () => {
    const { ids, trained, truncated } = textExample(['a dog', 'a cat'], tokenizer, 100);
    expect(tokenizer.decode(ids)).toBe('<s> a dog</s><s> a cat</s>');
    expect(trained.every(Boolean)).toBe(true);
    expect(truncated).toBe(false);
    expect(textExample(['a dog', 'a cat'], tokenizer, 4)).toMatchObject({ ids: ids.slice(0, 4), truncated: true });
    expect(() => textExample(['a'], { ...tokenizer, eosId: undefined }, 4)).toThrow(LlavaError);
  });

  test('captions end with EOS also when cut; equal captions are one group', () => {
    const pairs = ['a dog and a cat', 'a', 'a dog and a cat'].map(caption => ({
      pixels: new Float32Array(3),
      caption,
    }));
    const { feeds, truncated } = collateClip(pairs, { tokenizer, imageSize: 1, maxTokens: 5 });
    const { ids, lastToken, groups } = feeds;
    expect(truncated).toBe(pairs.filter(pair => tokenizer.encode(pair.caption).length >= 5).length);
    expect(numbers(lastToken).map(i => Number(ids.data[i]))).toEqual([2, 2, 2]);
    expect(ids.shape).toEqual([3, 5]);
    expect(numbers(groups)).toEqual([0, 1, 0]);
  });

  test('pixels are stacked in order', () => {
    const tensor = stackPixels([new Float32Array(3).fill(1), new Float32Array(3).fill(2)], 1);
    expect([tensor.shape, numbers(tensor)]).toEqual([
      [2, 3, 1, 1],
      [1, 1, 1, 2, 2, 2],
    ]);
  });
});
