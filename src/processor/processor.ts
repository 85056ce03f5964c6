/**
 * @file Messages and pictures → what a model reads: token ids with a run of image positions for each picture, and
 * normalised pixels.
 */

import { type HostTensor, LlavaError } from '../core/index.ts';
import { type ImageLayout, imageLayout, type LayoutConfig } from '../models/image-layout.ts';
import {
  decodeImage,
  type DecodeOptions as ImageLimits,
  type ImageMode,
  type ImageSettings,
  preprocessTiles,
  type RgbImage,
} from './image/index.ts';
import {
  encodePrompt,
  IMAGE_MARK,
  IMAGE_TOKEN_INDEX,
  type PromptEncoding,
  type PromptTemplate,
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
  readonly template: PromptTemplate;
  /** How the text around images is encoded: as the model was trained. */
  readonly encoding: PromptEncoding;
  /** Whether prompts have `<im_start>` and `<im_end>` around each image. */
  readonly imageMarkers: boolean;
  /** Absent for a model without vision. */
  readonly vision?: {
    /** Says how many tiles and positions a picture becomes. */
    readonly config: LayoutConfig;
    readonly settings: ImageSettings;
    /** How a picture becomes one square tile, where the model reads no more. */
    readonly mode: ImageMode;
  };
}

/** A picture ready for the vision tower. */
export interface PreparedImage {
  /** f32 [tiles, 3, S, S] */
  readonly pixels: HostTensor;
  readonly layout: ImageLayout;
}

/** Token ids of a prompt, {@link IMAGE_TOKEN_INDEX} at image positions, and where each image's positions begin. */
export interface PromptTokens {
  readonly ids: readonly number[];
  readonly imageStarts: readonly number[];
}

/**
 * Token ids of a prompt with its images' positions.
 * @param images the layout of each image that the prompt marks, in order
 * @throws LlavaError when there are more marks than images or fewer
 */
export function tokenizePrompt(
  { tokenizer, encoding }: Processor,
  prompt: string,
  images: readonly Pick<ImageLayout, 'tokenCount'>[],
): PromptTokens {
  const ids: number[] = [];
  const imageStarts: number[] = [];
  const encoded = encodePrompt(tokenizer, prompt, { encoding });
  const marks = encoded.filter(id => id === IMAGE_TOKEN_INDEX).length;
  if (marks !== images.length) {
    throw new LlavaError(`prompt: expected ${images.length} ${IMAGE_MARK} marks, one an image, got ${marks}`);
  }
  for (const id of encoded) {
    if (id !== IMAGE_TOKEN_INDEX) {
      ids.push(id);
      continue;
    }
    const { tokenCount } = images[imageStarts.length]!;
    imageStarts.push(ids.length);
    for (let i = 0; i < tokenCount; i++) ids.push(IMAGE_TOKEN_INDEX);
  }
  return { ids, imageStarts };
}

/**
 * Reads a picture and prepares it for the vision tower.
 * @throws LlavaError that names the picture when it cannot be read, or when the model has no vision
 */
export async function readImage(
  { vision }: Processor,
  source: ImageSource,
  limits: ImageLimits = {},
): Promise<PreparedImage> {
  if (!vision) throw new LlavaError('model: expected a prompt without images for a language model, got an image');
  const image = isDecoded(source) ? source : await decodeImage(source, limits);
  const layout = imageLayout(vision.config, image);
  return { pixels: preprocessTiles(image, layout, vision.settings, vision.mode), layout };
}

function isDecoded(source: ImageSource): source is RgbImage {
  return typeof source === 'object' && 'data' in source;
}
