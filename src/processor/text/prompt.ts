/**
 * @file Prompts to token ids with image positions.
 */

import { IMAGE_MARK, type Segment } from './templates.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Stands for an image among token ids, as in the original code. */
export const IMAGE_TOKEN_INDEX = -200;

/**
 * How text around images is encoded. `llava`: each chunk between `<image>` marks by itself, one BOS in front
 * (`tokenizer_image_token` of the original). `hf`: the text as a whole, `<image>` being a token of the tokenizer, as
 * llava-hf checkpoints expect. They differ in the space mark after an image.
 */
export type PromptEncoding = 'llava' | 'hf';

/** How to encode a prompt. */
export interface EncodePromptOptions {
  /** Default `llava`. */
  readonly encoding?: PromptEncoding;
}

/** Token ids of a prompt; each `<image>` becomes one {@link IMAGE_TOKEN_INDEX}. */
export function encodePrompt(tokenizer: Tokenizer, prompt: string, options: EncodePromptOptions = {}): number[] {
  return encodeSegments(tokenizer, [{ text: prompt, trained: false }], options).ids;
}

/** Token ids of a prompt given in segments, and for each whether it is trained. Image positions never are. */
export function encodeSegments(
  tokenizer: Tokenizer,
  segments: readonly Segment[],
  options: EncodePromptOptions = {},
): { ids: number[]; trained: boolean[] } {
  const [ids, trained]: [number[], boolean[]] = [[], []];
  const append = (id: number, target: boolean): void => {
    ids.push(id);
    trained.push(target && id !== IMAGE_TOKEN_INDEX);
  };
  const encode = options.encoding === 'hf' ? encodeWhole : encodeChunks;
  encode(tokenizer, [BOS_SEGMENT, ...segments], append);
  return { ids, trained };
}

/** Takes the BOS, which is never trained. */
const BOS_SEGMENT: Segment = { text: '', trained: false };

type Append = (id: number, trained: boolean) => void;

/** A prompt that begins with BOS as text gets no other, as in `apply_chat_template` of processors. */
function encodeWhole(tokenizer: Tokenizer, segments: readonly Segment[], append: Append): void {
  const imageId = tokenizer.tokenToId(IMAGE_MARK);
  const bos = tokenizer.bosId === undefined ? undefined : tokenizer.idToToken(tokenizer.bosId);
  const texts = segments.map(segment => segment.text);
  const addBos = bos === undefined || !texts.join('').startsWith(bos);
  const parts = tokenizer.encodeParts(texts, { addBos });
  parts.forEach((part, i) => {
    for (const id of part) append(id === imageId ? IMAGE_TOKEN_INDEX : id, segments[i]!.trained);
  });
}

/** BOS comes with the first chunk only; for a tokenizer that adds none there is nothing to drop. */
function encodeChunks(tokenizer: Tokenizer, segments: readonly Segment[], append: Append): void {
  splitAtImages(segments).forEach((chunk, i) => {
    if (i > 0) append(IMAGE_TOKEN_INDEX, false);
    const parts = tokenizer.encodeParts(
      chunk.map(segment => segment.text),
      { addBos: i === 0 },
    );
    parts.forEach((part, p) => {
      for (const id of part) append(id, chunk[p]!.trained);
    });
  });
}

/** The segments between image marks. */
function splitAtImages(segments: readonly Segment[]): Segment[][] {
  const chunks: Segment[][] = [[]];
  for (const { text, trained } of segments) {
    text.split(IMAGE_MARK).forEach((piece, i) => {
      if (i > 0) chunks.push([]);
      chunks.at(-1)!.push({ text: piece, trained });
    });
  }
  return chunks;
}
