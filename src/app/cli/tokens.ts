/** @file `llava tokens`: what a model reads of a question, from its configuration and tokenizer alone. */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { ImageSpan, LlavaProcessor, SizedImage, TokenizedPrompt } from '../../engine/index.ts';
import type { Io } from './commands.ts';
import { checkImages, openImage } from './image-file.ts';
import { companionFolders, MODEL_NAME, modelFolder } from './model-name.ts';
import {
  collect,
  compatOption,
  type ModelValues,
  mmprojOption,
  modelBaseOption,
  visionTowerOption,
} from './options.ts';

interface TokensValues extends Pick<ModelValues, ModelKey> {
  readonly text?: string;
  readonly textFile?: string;
  readonly image?: readonly string[];
  readonly imageSize?: readonly string[];
  readonly system?: string;
  readonly json?: boolean;
}

const MODEL_KEYS = ['template', 'compat', 'visionTower', 'modelBase', 'mmproj'] as const;
type ModelKey = (typeof MODEL_KEYS)[number];

const LINE_WIDTH = 100;

export function define(command: Command, io: Io): void {
  command.argument('<model>', `${MODEL_NAME}; weights are not needed`);
  command.option('--text <text>', 'what to ask; - reads stdin; <image> in it marks the place of an image');
  command.option('--text-file <file>', 'a file with what to ask');
  command.option('--image <file>', 'JPEG, PNG, WebP or GIF; may be given several times', collect);
  command.option('--image-size <size>', 'as 640x480: an image of which only the size is known', collect);
  command.option('--system <text>', "system text instead of the template's");
  command.option('--template <name>', "conversation template or .jinja file (default: the model's own)");
  for (const option of [compatOption(), visionTowerOption(), modelBaseOption(), mmprojOption()])
    command.addOption(option);
  command.option('--json', 'print an object');
  command.action((model: string, values: TokensValues) => tokens(model, values, io));
}

async function tokens(model: string, values: TokensValues, io: Io): Promise<void> {
  const { LlavaProcessor } = await import('../../engine/index.ts');
  const { system } = values;
  const given = MODEL_KEYS.flatMap(key => (values[key] === undefined ? [] : [[key, values[key]]]));
  const folder = await modelFolder(model, io, { weights: false });
  const processor = LlavaProcessor.open(folder, {
    ...Object.fromEntries(given),
    ...(await companionFolders(values, io)),
  });
  const images = await readImages(values, io);
  const text = await readText(values, io);
  const tokenized = await processor.tokenize(text, { images, ...(system !== undefined && { system }) });
  const output = values.json ? JSON.stringify(toJson(processor, tokenized)) : format(processor, tokenized);
  io.stdout.write(`${output}\n`);
}

async function readText({ text, textFile }: TokensValues, io: Io): Promise<string> {
  if ((text === undefined) === (textFile === undefined)) {
    const got = text === undefined ? 'neither' : 'both';
    throw new LlavaError(`tokens: expected one of --text and --text-file, got ${got}`);
  }
  if (textFile !== undefined) return readTextFile(textFile);
  if (text !== '-') return text!;
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

function readTextFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new LlavaError(`${file}: expected a readable file, got ${(error as Error).message}`);
  }
}

/** Files first, then sizes. */
async function readImages({ image: files = [], imageSize: sizes = [] }: TokensValues, io: Io): Promise<SizedImage[]> {
  await checkImages(files, {}, io);
  const images = await Promise.all(files.map(file => openImage(file, {}, io)));
  return [...images, ...sizes.map(parseSize)];
}

function parseSize(text: string): SizedImage {
  const [, width, height] = /^([1-9]\d{0,5})[x×]([1-9]\d{0,5})$/.exec(text) ?? [];
  if (width !== undefined) return { width: Number(width), height: Number(height) };
  throw new LlavaError(`option --image-size: expected WIDTHxHEIGHT in pixels, as 640x480, got ${JSON.stringify(text)}`);
}

/** `imageTokens`, `grid` and `tiles` are those of the image where there is one, and lists of them where there are several. */
function toJson(processor: LlavaProcessor, { prompt, ids, images, imageTokens }: TokenizedPrompt) {
  const each = <T>(value: (image: ImageSpan) => T, none: T): T | T[] =>
    images.length > 1 ? images.map(value) : images[0] ? value(images[0]) : none;
  return {
    model: processor.name,
    template: processor.template,
    prompt,
    ids,
    imageTokens: each(image => image.tokens, 0),
    grid: each<readonly number[] | null>(image => image.grid, null),
    tiles: each(image => image.tiles, 0),
    imageSpans: images.map(({ start, tokens }) => [start, start + tokens]),
    images,
    textTokens: ids.length - imageTokens,
    promptTokens: ids.length,
    contextLength: processor.contextLength,
  };
}

function format(processor: LlavaProcessor, { prompt, ids, images }: TokenizedPrompt): string {
  const indented = prompt.split('\n').map(line => `  ${line}`.trimEnd());
  return [
    `model     ${processor.name}`,
    `template  ${processor.template}`,
    ...images.map(formatImage),
    `context   ${formatContext(ids.length, processor.contextLength)}`,
    '',
    'prompt',
    ...indented,
    '',
    'tokens',
    ...wrap(pieces(processor, ids, images)).map(line => `  ${line}`),
  ].join('\n');
}

function formatImage({ width, height, start, tokens, tiles, grid: [columns, rows] }: ImageSpan, i: number): string {
  const cut = tiles === 1 ? '1 tile' : `${tiles} tiles (the whole and ${columns} × ${rows})`;
  const place = `${formatCount(tokens)} tokens from position ${formatCount(start)}`;
  return `image ${i + 1}   ${width} × ${height} px, ${cut}, ${place}`;
}

function formatContext(count: number, context: number): string {
  const percent = Math.round((100 * count) / context);
  const rest = count > context ? `, ${formatCount(count - context)} too many` : '';
  return `${formatCount(count)} of ${formatCount(context)} tokens (${percent} %)${rest}`;
}

/** Each token as its id and what stands for it in the vocabulary; an image's run as one. */
function pieces(processor: LlavaProcessor, ids: readonly number[], images: readonly ImageSpan[]): string[] {
  const spans = new Map(images.map((image, i) => [image.start, { name: `image ${i + 1}`, tokens: image.tokens }]));
  const shown: string[] = [];
  for (let at = 0; at < ids.length; ) {
    const span = spans.get(at);
    shown.push(
      span ? `[${span.name}: ${formatCount(span.tokens)} tokens]` : `${ids[at]} ${shownToken(processor, ids[at]!)}`,
    );
    at += span?.tokens ?? 1;
  }
  return shown;
}

function shownToken(processor: LlavaProcessor, id: number): string {
  const token = processor.token(id) ?? '?';
  return token.replace(/[\s\p{C}]/gu, character => JSON.stringify(character).slice(1, -1));
}

/** Items side by side, as many as fit into a line. */
function wrap(items: readonly string[]): string[] {
  const lines: string[] = [];
  for (const item of items) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + item.length + 3 <= LINE_WIDTH)
      lines[lines.length - 1] = `${last} · ${item}`;
    else lines.push(item);
  }
  return lines;
}

const formatCount = (count: number): string => count.toLocaleString('en-US');
