/** @file The datasets that recipes can name. */

import { resolve } from 'node:path';
import { LlavaError, nearestName, rejectUnknownKeys } from '../../core/index.ts';
import {
  EASY_VQA_SPLITS,
  EASY_VQA_TASKS,
  EMOJI_TASKS,
  type EmojiData,
  easyVqaSource,
  emojiSource,
  type InstructKind,
  openEasyVqa,
  openEmojiData,
  openLlavaJson,
  type SampleSource,
  type WeightedSource,
} from '../../data/index.ts';
import { Fields } from '../../models/index.ts';
import type { DataSpec } from '../../train/index.ts';

/** Opens the source of a data entry; `data` is the path given on the command line. */
type Open = (spec: DataSpec, data: string | undefined) => Promise<SampleSource>;

const SOURCES: Readonly<Record<string, Open>> = {
  'easy-vqa': openEasyVqaSource,
  emoji: openEmoji,
  'llava-json': openLlavaJsonSource,
};

/** Options of the source `llava-json`: `file` and `images` are relative to the path given by `--data`, if any. */
const LLAVA_JSON_KEYS = ['file', 'images'];

async function openLlavaJsonSource({ options }: DataSpec, data: string | undefined): Promise<SampleSource> {
  rejectUnknownKeys('data: llava-json', options, LLAVA_JSON_KEYS);
  const fields = new Fields(options, 'data: llava-json');
  const place = (path: string) => resolve(data ?? '.', path);
  const images = options.images === undefined ? undefined : place(fields.string('images'));
  return openLlavaJson(place(fields.string('file')), images === undefined ? {} : { imageFolder: images });
}

/** Options of the source `easy-vqa`. */
const EASY_VQA_KEYS = ['split', 'task', 'seed', 'turns', 'mirror'];

async function openEasyVqaSource({ options }: DataSpec, data: string | undefined): Promise<SampleSource> {
  rejectUnknownKeys('data: easy-vqa', options, EASY_VQA_KEYS);
  if (data === undefined)
    throw new LlavaError('data: expected --data with the folder or tar archive of easy-VQA, got none');
  const fields = new Fields(options, 'data: easy-vqa');
  return easyVqaSource(await openEasyVqa(data, fields.choice('split', EASY_VQA_SPLITS, 'train')), {
    task: fields.choice('task', EASY_VQA_TASKS),
    seed: fields.integer('seed', 0),
    ...(options.turns !== undefined && { turns: fields.positive('turns') }),
    mirror: fields.boolean('mirror', false),
  });
}

/** Options of the source `emoji`. */
const EMOJI_KEYS = ['task', 'seed', 'imageSize', 'calm', 'mixture'];

/** Drawings already opened, by image size: the stages of a recipe share them. */
const emojiData = new Map<number, Promise<EmojiData>>();

async function openEmoji({ options }: DataSpec): Promise<SampleSource> {
  rejectUnknownKeys('data: emoji', options, EMOJI_KEYS);
  const fields = new Fields(options, 'data: emoji');
  const imageSize = fields.positive('imageSize', 64);
  if (!emojiData.has(imageSize)) emojiData.set(imageSize, openEmojiData({ imageSize }));
  const mixture = fields.optionalObject('mixture');
  return emojiSource(await emojiData.get(imageSize)!, {
    task: fields.choice('task', EMOJI_TASKS),
    seed: fields.integer('seed', 0),
    calm: fields.number('calm', 0.5),
    ...(mixture && { mixture: mixture as Partial<Record<InstructKind, number>> }),
  });
}

/** Opens all sources of a stage. Throws {@link LlavaError} naming the nearest known source. */
export async function openSources(specs: readonly DataSpec[], data?: string): Promise<WeightedSource[]> {
  return Promise.all(specs.map(async spec => ({ source: await opener(spec)(spec, data), weight: spec.weight })));
}

function opener({ source }: DataSpec): Open {
  const open = SOURCES[source];
  if (open) return open;
  const names = Object.keys(SOURCES);
  throw new LlavaError(
    `data: expected a source of ${names.join(', ')} (did you mean ${nearestName(source, names)}?), got ${source}`,
  );
}
