/**
 * @file Datasets in LLaVA's JSON form: a list, or JSON Lines, of `{ id, image?, conversations: [{ from, value }] }`.
 * Everything is checked when the file is opened; rows and images are read when they are asked for.
 */

import { basename, dirname } from 'node:path';
import { LlavaError } from '../core/index.ts';
import { decodeImage, IMAGE_MARK, moveImageFirst } from '../processor/index.ts';
import { ImageFolder } from './image-files.ts';
import { type ByteSpan, readJsonRow, readJsonRows } from './json-rows.ts';
import type { Sample, SampleDescription, SampleSource, Turn } from './sample.ts';

/** Where a dataset's parts are. */
export interface LlavaJsonOptions {
  /** Folder that image names are relative to. Default: the folder of the file. */
  readonly imageFolder?: string;
}

/**
 * Opens a dataset. The mark of a turn's single image is moved to its front, as LLaVA trains.
 * @param file .json or .jsonl, of any size
 * @throws LlavaError naming the file and row (`file[17]`, from 0) for a row of another form, one whose `<image>` marks are
 * not as many as its images, or an image name that leads out of the folder
 * @throws MissingImagesError naming the images that have no file
 */
export async function openLlavaJson(file: string, options: LlavaJsonOptions = {}): Promise<SampleSource> {
  const images = new ImageFolder(options.imageFolder ?? dirname(file));
  const entries: (ByteSpan & SampleDescription)[] = [];
  for await (const { value, start, end } of readJsonRows(file)) {
    const where = rowName(file, entries.length);
    const row = readRow(value, where);
    for (const image of row.images) images.look(image, where);
    entries.push({ start, end, ...describeRow(row) });
  }
  if (entries.length === 0) throw new LlavaError(`${file}: expected at least one row, got none`);
  images.check(file);
  return {
    name: basename(file),
    length: entries.length,
    describe: index => entries[index]!,
    sample: async index => {
      const where = rowName(file, index);
      const row = readRow(await readJsonRow(file, entries[index]!, where), where);
      return { ...row, images: await Promise.all(row.images.map(image => decodeImage(images.path(image)))) };
    },
  };
}

/** A sample with its images by name. */
interface Row extends Omit<Sample, 'images'> {
  readonly images: readonly string[];
}

const ROLES = ['human', 'gpt'] as const;

const rowName = (file: string, index: number): string => `${file}[${index}]`;

function readRow(value: unknown, where: string): Row {
  const { id, image, conversations } = value as Readonly<Record<string, unknown>>;
  const images = image === undefined || image === null ? [] : [image].flat();
  if (!images.every(name => typeof name === 'string'))
    throw wrong(`${where}.image`, 'a path or a list of paths', image);
  const turns = moveImageFirst(readTurns(conversations, `${where}.conversations`));
  const marks = turns.reduce((sum, turn) => sum + turn.value.split(IMAGE_MARK).length - 1, 0);
  if (marks !== images.length) {
    throw new LlavaError(`${where}: expected as many ${IMAGE_MARK} marks as images, ${images.length}, got ${marks}`);
  }
  return { id: id === undefined ? where : String(id), images, conversations: turns };
}

/** Turns from the first human one on: ShareGPT has conversations that begin with an answer. */
function readTurns(value: unknown, where: string): Turn[] {
  if (!Array.isArray(value)) throw wrong(where, 'a list of turns', value);
  const turns = value.map((turn, i) => readTurn(turn, `${where}[${i}]`));
  const skipped = turns[0]?.from === 'gpt' ? 1 : 0;
  const kept = turns.slice(skipped);
  for (const [i, { from }] of kept.entries()) {
    const expected = ROLES[i % 2]!;
    if (from !== expected) throw wrong(`${where}[${i + skipped}].from`, `${expected}, as turns alternate`, from);
  }
  if (kept.length < 2) throw new LlavaError(`${where}: expected a human turn and an answer, got ${turns.length} turns`);
  return kept;
}

function readTurn(turn: unknown, where: string): Turn {
  const { from, value } = (turn ?? {}) as Readonly<Record<string, unknown>>;
  const role = ROLES.find(known => known === from);
  if (role === undefined) throw wrong(`${where}.from`, ROLES.join(' or '), from);
  if (typeof value !== 'string') throw wrong(`${where}.value`, 'text', value);
  return { from: role, value };
}

function wrong(where: string, expected: string, value: unknown): LlavaError {
  return new LlavaError(`${where}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 60) ?? 'nothing'}`);
}

function describeRow({ images, conversations }: Row): SampleDescription {
  const words = conversations.reduce((sum, turn) => sum + (turn.value.match(/\S+/g)?.length ?? 0), 0);
  return { words, modality: images.length > 0 ? 'image' : 'text' };
}
