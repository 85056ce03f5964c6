/**
 * @file Messages and pictures → what a model reads: token ids with a run of image positions for each picture, and
 * normalised pixels.
 */

import { LlavaError } from '../core/index.ts';
import {
  decodeImage,
  type DecodeOptions as ImageLimits,
  type ImageMode,
  type ImageSettings,
  preprocessImage,
  type RgbImage,
} from './image/index.ts';
import {
  encodePrompt,
  IMAGE_MARK,
  IMAGE_TOKEN_INDEX,
  type PromptEncoding,
  renderPrompt,
  type Template,
  type Tokenizer,
} from './text/index.ts';

/** A picture: path, `file:` URL, the bytes of an image file, or decoded pixels. */
export type ImageSource = string | URL | Uint8Array | RgbImage;

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: 'user' | 'assistant';
  /** Text. `<image>` marks the place of an image; without any mark the images come first. */
  readonly content: string;
  readonly images?: readonly ImageSource[];
}

/** How a model's input is made. */
export interface Processor {
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** How the text around images is encoded: as the model was trained. */
  readonly encoding: PromptEncoding;
  /** Absent for a model without vision. */
  readonly vision?: {
    /** Positions that one image takes. */
    readonly tokensPerImage: number;
    readonly settings: ImageSettings;
    readonly mode: ImageMode;
  };
}

/** Token ids of a prompt, {@link IMAGE_TOKEN_INDEX} at image positions, and where each image's positions begin. */
export interface PromptTokens {
  readonly ids: readonly number[];
  readonly imageStarts: readonly number[];
}

/**
 * The prompt that asks for an answer to the last message.
 * @param options.system instead of the template's system text
 * @throws LlavaError unless each message has as many `<image>` marks as images, or none
 */
export function renderMessages(
  { template }: Processor,
  messages: readonly (Omit<ChatMessage, 'images'> & { readonly images?: readonly unknown[] })[],
  options: { readonly system?: string } = {},
): string {
  const turns = messages.map(({ role, content, images = [] }) => ({
    from: role === 'user' ? ('human' as const) : ('gpt' as const),
    value: markImages(content, images.length),
  }));
  return renderPrompt(template, turns, options);
}

/** `content` with one mark an image: where it has none, each on a line of its own in front, as LLaVA was trained. */
export function markImages(content: string, imageCount: number): string {
  const marks = content.split(IMAGE_MARK).length - 1;
  if (marks === imageCount) return content;
  if (marks === 0) return `${IMAGE_MARK}\n`.repeat(imageCount) + content;
  throw new LlavaError(
    `prompt: expected as many ${IMAGE_MARK} marks as images or none, got ${marks} marks and ${imageCount} images`,
  );
}

/** Token ids of a prompt with its images' positions. */
export function tokenizePrompt({ tokenizer, encoding, vision }: Processor, prompt: string): PromptTokens {
  const ids: number[] = [];
  const imageStarts: number[] = [];
  for (const id of encodePrompt(tokenizer, prompt, { encoding })) {
    if (id !== IMAGE_TOKEN_INDEX) {
      ids.push(id);
      continue;
    }
    imageStarts.push(ids.length);
    for (let i = 0; i < (vision?.tokensPerImage ?? 0); i++) ids.push(IMAGE_TOKEN_INDEX);
  }
  return { ids, imageStarts };
}

/**
 * Reads a picture and prepares it for the vision tower: f32 [3, S, S].
 * @throws LlavaError that names the picture when it cannot be read, or when the model has no vision
 */
export async function readImage({ vision }: Processor, source: ImageSource, limits: ImageLimits = {}) {
  if (!vision) throw new LlavaError('model: expected a prompt without images for a language model, got an image');
  const image = isDecoded(source) ? source : await decodeImage(source, limits);
  return preprocessImage(image, vision.settings, vision.mode);
}

function isDecoded(source: ImageSource): source is RgbImage {
  return typeof source === 'object' && 'data' in source;
}
