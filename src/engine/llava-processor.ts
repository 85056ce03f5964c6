/**
 * @file Prompts and their tokens without a model: from its configuration and tokenizer alone. Of a picture only the size
 * matters.
 */

import { LlavaError, rejectUnknownKeys } from '../core/index.ts';
import { type ImageLayout, type ImageSize, imageLayout } from '../models/index.ts';
import {
  type ChatMessage,
  decodeImage,
  IMAGE_MARK,
  IMAGE_TOKEN_INDEX,
  type ImageLimits,
  type ImageSource,
  type Processor,
  renderMessages,
  tokenizePrompt,
} from '../processor/index.ts';
import { checkCompat, type PromptOptions } from './choose-template.ts';
import { type ModelFiles, readModelFiles } from './model-folder.ts';
import { openProcessor } from './open-processor.ts';

/** A picture, or its size in pixels alone. */
export type SizedImage = ImageSource | ImageSize;

/** One turn of a conversation whose pictures need only have a size. */
export interface SizedMessage extends Omit<ChatMessage, 'images'> {
  readonly images?: readonly SizedImage[];
}

/** What a prompt is made of, beside messages. */
export interface TokenizeOptions {
  /** Pictures of a question. With messages, these have their own. */
  readonly images?: readonly SizedImage[];
  /** Instead of the system text of the model's template; '' for none. */
  readonly system?: string;
}

/** A picture's place in a prompt. */
export interface ImageSpan extends ImageSize {
  /** Its first position. */
  readonly start: number;
  /** Positions that it takes. */
  readonly tokens: number;
  /** Pictures that the vision tower reads for it. */
  readonly tiles: number;
  /** Columns and rows that it is cut into; 1 × 1 for a model that reads one square. */
  readonly grid: readonly [columns: number, rows: number];
}

/** A prompt and its tokens. */
export interface TokenizedPrompt {
  readonly prompt: string;
  /** One for each position. Those of pictures have the id of `<image>`, or −200 where it is no token. */
  readonly ids: readonly number[];
  readonly images: readonly ImageSpan[];
  /** Positions of all pictures. */
  readonly imageTokens: number;
}

/** How a processor is opened. */
export interface ProcessorOptions extends PromptOptions, Pick<ImageLimits, 'maxPixels' | 'maxSide'> {
  /** Folder of the vision tower of a model that only names it. Default: a folder of that name beside the model's. */
  readonly visionTower?: string;
  /** Folder of the base that an adapter, a projector alone or a delta is applied to. Default: none. */
  readonly modelBase?: string;
  /** The vision half (mmproj) of a model that is a GGUF file. Default: none, or the one of the folder given. */
  readonly mmproj?: string;
}

const PROCESSOR_OPTIONS = ['template', 'compat', 'visionTower', 'modelBase', 'mmproj', 'maxPixels', 'maxSide'];

/** What a model reads of messages: its template, tokenizer and image rules. Its folder need not hold weights. */
export class LlavaProcessor {
  /** The name that the model was published under, else the folder's. */
  readonly name: string;
  /** Positions that a prompt and its answer may take together. */
  readonly contextLength: number;
  readonly #processor: Processor;
  readonly #limits: ImageLimits;

  private constructor(files: ModelFiles, { maxPixels, maxSide, template, compat }: ProcessorOptions) {
    this.name = files.name;
    this.contextLength = files.language.contextLength;
    this.#processor = openProcessor(files, { ...(template !== undefined && { template }), ...(compat && { compat }) });
    this.#limits = { ...(maxPixels !== undefined && { maxPixels }), ...(maxSide !== undefined && { maxSide }) };
  }

  /** Reads a model's folder. Throws {@link LlavaError} that names the file at fault. */
  static open(folder: string, options: ProcessorOptions = {}): LlavaProcessor {
    rejectUnknownKeys('options', options, PROCESSOR_OPTIONS);
    checkCompat(options.compat);
    return new LlavaProcessor(readModelFiles(folder, options), options);
  }

  /** Name of the conversation template, or of its file. */
  get template(): string {
    return this.#processor.template.name;
  }

  /** The prompt that asks for an answer to a question, or to the last of several messages, and its tokens. */
  tokenize(content: string | readonly SizedMessage[], options: TokenizeOptions = {}): Promise<TokenizedPrompt> {
    return tokenizeMessages(this.#processor, content, options, this.#limits);
  }

  /** How many positions that prompt takes. */
  async countTokens(content: string | readonly SizedMessage[], options: TokenizeOptions = {}): Promise<number> {
    return (await this.tokenize(content, options)).ids.length;
  }

  /** The token of an id as the vocabulary has it; undefined for none. */
  token(id: number): string | undefined {
    return this.#processor.tokenizer.idToToken(id);
  }
}

/** The prompt of a question or of messages, and its tokens. */
export async function tokenizeMessages(
  processor: Processor,
  content: string | readonly SizedMessage[],
  options: TokenizeOptions,
  limits: ImageLimits,
): Promise<TokenizedPrompt> {
  rejectUnknownKeys('options', options, ['images', 'system']);
  const { images = [], system } = options;
  const messages: readonly SizedMessage[] = typeof content === 'string' ? [{ role: 'user', content, images }] : content;
  const pictures = messages.flatMap(message => message.images ?? []);
  const sizes = await Promise.all(pictures.map(picture => sizeOf(picture, limits)));
  const layouts = sizes.map(size => layoutOf(processor, size));
  const prompt = renderMessages(processor, messages, system === undefined ? {} : { system });
  const { ids, imageStarts } = tokenizePrompt(processor, prompt, layouts);
  const imageId = processor.tokenizer.tokenToId(IMAGE_MARK) ?? IMAGE_TOKEN_INDEX;
  const spans = layouts.map((layout, i) => spanOf(layout, sizes[i]!, imageStarts[i]!));
  return {
    prompt,
    ids: ids.map(id => (id === IMAGE_TOKEN_INDEX ? imageId : id)),
    images: spans,
    imageTokens: spans.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

async function sizeOf(picture: SizedImage, limits: ImageLimits): Promise<ImageSize> {
  const isSized = typeof picture === 'object' && 'width' in picture;
  const { width, height } = isSized ? picture : await decodeImage(picture, limits);
  const isSize = [width, height].every(side => Number.isInteger(side) && side >= 1);
  if (!isSize) throw new LlavaError(`image: expected a size in whole pixels, got ${width} × ${height}`);
  return { width, height };
}

function layoutOf({ vision }: Processor, size: ImageSize): ImageLayout {
  if (vision) return imageLayout(vision.config, size);
  throw new LlavaError('model: expected a prompt without images for a language model, got an image');
}

function spanOf({ tokenCount, tiles, grid }: ImageLayout, { width, height }: ImageSize, start: number): ImageSpan {
  return { width, height, start, tokens: tokenCount, tiles, grid: grid ? [grid.columns, grid.rows] : [1, 1] };
}
