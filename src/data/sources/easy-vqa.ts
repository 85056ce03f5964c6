/**
 * @file easy-VQA (Victor Zhou, MIT): 5,000 images of one coloured shape, 64 × 64 pixels, 48,248 questions with 13 possible
 * answers, a fixed split. Read from its folder or from a tar archive of it:
 * `{train,test}/questions.json` with rows [question, answer, image number], `{train,test}/images/NUMBER.png`.
 */

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError, Rng } from '../../core/index.ts';
import { decodeImage, type RgbImage } from '../../processor/index.ts';
import type { Sample, SampleSource, Turn } from '../sample.ts';
import { type QuestionAnswer, recoverScene, sceneCaption } from './easy-vqa-caption.ts';
import { readTar } from './tar.ts';

/** Parts of the dataset. */
export const EASY_VQA_SPLITS = ['train', 'test'] as const;
export type EasyVqaSplit = (typeof EASY_VQA_SPLITS)[number];

/**
 * What the samples are for: `vqa` an image and its questions, in random order, as turns of one conversation; `caption` an
 * image and what its questions and answers tell that it shows ("a blue circle"), where they tell all; `text` a line of text
 * without image: its caption, if it has one, a question and the answer, from which a language model learns to reason.
 */
export const EASY_VQA_TASKS = ['vqa', 'caption', 'text'] as const;
export type EasyVqaTask = (typeof EASY_VQA_TASKS)[number];

/** One image of the dataset. */
export interface EasyVqaImage {
  readonly number: number;
  readonly questions: readonly QuestionAnswer[];
  /** Undefined where the questions leave shape or colour open. */
  readonly caption: string | undefined;
  /** The pixels; decoded once and kept. */
  readonly pixels: () => Promise<RgbImage>;
}

/** A test question. */
export interface EasyVqaQuestion {
  readonly id: string;
  readonly kind: 'shape' | 'color' | 'yesno';
  readonly images: readonly RgbImage[];
  /** With its `<image>` mark. */
  readonly question: string;
  readonly answer: string;
}

/** Options of {@link easyVqaSource}. */
export interface EasyVqaOptions {
  readonly task: EasyVqaTask;
  /** Default 0. */
  readonly seed?: number;
  /** Most questions in a `vqa` sample. Default: all of the image's. */
  readonly turns?: number;
  /** Shows every second image mirrored left to right, at random. Default false. */
  readonly mirror?: boolean;
}

/** It is read into memory; easy-VQA takes 8 MB. */
const MAX_ARCHIVE_BYTES = 2 ** 30;

/** Reads a file of the dataset, by its path inside. */
type ReadEntry = (name: string) => Promise<Uint8Array>;

/**
 * The images of a split, by rising number.
 * @param path the dataset's folder (with `train` and `test` in it), or a tar archive of that folder
 * @throws LlavaError that names the file that is missing or broken
 */
export async function openEasyVqa(path: string, split: EasyVqaSplit): Promise<EasyVqaImage[]> {
  const read = await entryReader(path);
  const name = `${split}/questions.json`;
  const byImage = new Map<number, QuestionAnswer[]>();
  for (const { image, ...question } of parseQuestions(await read(name), `${path}: ${name}`)) {
    byImage.set(image, [...(byImage.get(image) ?? []), question]);
  }
  return [...byImage]
    .sort(([a], [b]) => a - b)
    .map(([number, questions]) => {
      const file = `${split}/images/${number}.png`;
      const decode = async () => decodeImage(await read(file), { name: `${path}: ${file}` });
      return { number, questions, caption: sceneCaption(recoverScene(questions)), pixels: once(decode) };
    });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

async function entryReader(path: string): Promise<ReadEntry> {
  const entry = await stat(path).catch(() => undefined);
  if (!entry)
    throw new LlavaError(`easy-vqa: expected the dataset's folder or tar archive, got ${path}, which is missing`);
  if (entry.isDirectory())
    return async name => readEntry(path, name, await readFile(join(path, name)).catch(() => undefined));
  if (entry.size > MAX_ARCHIVE_BYTES) {
    throw new LlavaError(`${path}: expected an archive of at most ${MAX_ARCHIVE_BYTES} bytes, got ${entry.size}`);
  }
  const files = readTar(await readFile(path), path);
  const questions = [...files.keys()].find(name => /(^|\/)train\/questions\.json$/.test(name)) ?? '';
  const root = questions.slice(0, -'train/questions.json'.length);
  return async name => readEntry(path, name, files.get(root + name));
}

function readEntry(path: string, name: string, bytes: Uint8Array | undefined): Uint8Array {
  if (bytes) return bytes;
  throw new LlavaError(`${path}: expected a file ${name} of easy-VQA, got none`);
}

function parseQuestions(bytes: Uint8Array, where: string): (QuestionAnswer & { image: number })[] {
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new LlavaError(`${where}: expected JSON, got ${(error as Error).message}`);
  }
  if (!Array.isArray(rows) || rows.length === 0)
    throw new LlavaError(`${where}: expected a list of questions, got none`);
  return rows.map((row: unknown, i) => {
    const [question, answer, image] = Array.isArray(row) ? row : [];
    const isText = typeof question === 'string' && typeof answer === 'string';
    if (isText && Number.isSafeInteger(image) && image >= 0) return { question, answer, image };
    throw new LlavaError(`${where}: row ${i}: expected [question, answer, image number], got ${JSON.stringify(row)}`);
  });
}

/** An endless source: all images in random order, then all in another one; sample i is a pure function of seed and i. */
export function easyVqaSource(images: readonly EasyVqaImage[], options: EasyVqaOptions): SampleSource {
  const { task, seed = 0 } = options;
  const used = task === 'caption' ? images.filter(image => image.caption !== undefined) : images;
  if (used.length === 0) throw new LlavaError(`easy-vqa: expected images for the task ${task}, got none`);
  let order: { readonly epoch: number; readonly images: readonly EasyVqaImage[] } = { epoch: -1, images: [] };
  const imageAt = (index: number): EasyVqaImage => {
    const epoch = Math.floor(index / used.length);
    if (order.epoch !== epoch) order = { epoch, images: new Rng(mixSeed(seed, -1 - epoch)).shuffle([...used]) };
    return order.images[index % used.length]!;
  };
  return {
    name: `easy-vqa-${task}`,
    length: Number.POSITIVE_INFINITY,
    sample: index => makeSample(imageAt(index), options, index, new Rng(mixSeed(seed, index))),
  };
}

/** 32 well-mixed bits of two integers. */
function mixSeed(seed: number, index: number): number {
  return new Rng(Math.imul(seed, 0x9e3779b1) ^ index).nextUint32();
}

async function makeSample(image: EasyVqaImage, options: EasyVqaOptions, index: number, rng: Rng): Promise<Sample> {
  const { task, mirror = false, turns } = options;
  const id = `easy-vqa-${task}-${index}`;
  if (task === 'text') return { id, images: [], conversations: exchange('', randomLine(image, rng)) };
  const pixels = await image.pixels();
  const images = [mirror && rng.int(2) === 1 ? mirrored(pixels) : pixels];
  if (task === 'caption') return { id, images, conversations: exchange('<image>', image.caption!) };
  const questions = rng.shuffle([...image.questions]).slice(0, turns);
  const conversations = questions.flatMap(({ question, answer }, i) =>
    exchange(i === 0 ? marked(question) : question, answer),
  );
  return { id, images, conversations };
}

const exchange = (human: string, gpt: string): Turn[] => [
  { from: 'human', value: human },
  { from: 'gpt', value: gpt },
];
const marked = (question: string): string => `<image>\n${question}`;

function randomLine({ questions, caption }: EasyVqaImage, rng: Rng): string {
  const { question, answer } = rng.pick(questions);
  return `${caption === undefined ? '' : `${caption}. `}${question} ${answer}`;
}

function mirrored({ width, height, data }: RgbImage): RgbImage {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 3 * (y * width + x);
      out.set(data.subarray(from, from + 3), 3 * (y * width + width - 1 - x));
    }
  }
  return { width, height, data: out };
}

/** All questions of the images, each alone with its image, those about one image side by side. */
export async function easyVqaQuestions(images: readonly EasyVqaImage[]): Promise<EasyVqaQuestion[]> {
  const perImage = images.map(async ({ number, questions, pixels }) => {
    const shown = [await pixels()];
    return questions.map(({ question, answer }, i) => ({
      id: `${number}-${i}`,
      kind: kindOf(question),
      images: shown,
      question: marked(question),
      answer,
    }));
  });
  return (await Promise.all(perImage)).flat();
}

function kindOf(question: string): EasyVqaQuestion['kind'] {
  if (!question.startsWith('what')) return 'yesno';
  return /^what (color|is the color)\b/.test(question) ? 'color' : 'shape';
}
