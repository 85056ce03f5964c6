/**
 * @file From a conversation to the tokens the model trains on. Which tokens are targets is known by construction: the
 * template says which stretches of the prompt are answers, and each stretch is encoded by itself.
 */

import { LlavaError } from '../core/index.ts';
import type { RgbImage } from '../processor/image/index.ts';
import { renderSegments, type Segment, type Template, type Tokenizer } from '../processor/text/index.ts';
import type { Sample } from './sample.ts';

/** Stands for image features among token ids, as in the original code. */
export const IMAGE_TOKEN_INDEX = -200;

/** Tokens of one conversation; each image is a run of {@link IMAGE_TOKEN_INDEX}. */
export interface Example {
  readonly id: string;
  readonly ids: readonly number[];
  /** For each token: is it a target? */
  readonly trained: readonly boolean[];
  /** For each image: normalised pixels [3, S, S]. */
  readonly pixels: readonly Float32Array[];
  /** True when the conversation was longer than `maxLength` and was cut. */
  readonly truncated: boolean;
}

/** How conversations become examples. */
export interface ExampleOptions {
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly preprocess: (image: RgbImage) => Float32Array;
  /** Tokens that one image becomes. */
  readonly imageTokens: number;
  /** Longest example in tokens, image tokens included; the rest is cut. */
  readonly maxLength: number;
}

/** Throws {@link LlavaError} when the number of `<image>` marks is not the number of images. */
export function buildExample(sample: Sample, options: ExampleOptions): Example {
  const segments = renderSegments(options.template, sample.conversations);
  const { ids, trained } = encodeSegments(segments, options);
  const marks = ids.filter(id => id === IMAGE_TOKEN_INDEX).length / options.imageTokens;
  if (marks !== sample.images.length) {
    throw new LlavaError(`sample ${sample.id}: expected ${sample.images.length} <image> marks, got ${marks}`);
  }
  return {
    id: sample.id,
    ids: ids.slice(0, options.maxLength),
    trained: trained.slice(0, options.maxLength),
    pixels: sample.images.map(options.preprocess),
    truncated: ids.length > options.maxLength,
  };
}

/** Texts one after another as one example, each framed by BOS and EOS, every token a target: language-model training. */
export function textExample(texts: readonly string[], tokenizer: Tokenizer, maxLength: number): Example {
  const ids = texts.flatMap(text => [...tokenizer.encode(text), tokenizer.eosId!]);
  const kept = ids.slice(0, maxLength);
  return { id: 'text', ids: kept, trained: kept.map(() => true), pixels: [], truncated: ids.length > maxLength };
}

/** Token ids of a prompt given in stretches, with images expanded, and whether each token is a target. */
function encodeSegments(segments: readonly Segment[], { tokenizer, imageTokens }: ExampleOptions) {
  const ids: number[] = [];
  const trained: boolean[] = [];
  const append = (id: number, target: boolean) => {
    ids.push(id);
    trained.push(target);
  };
  for (const [i, chunk] of splitAtImages(segments, tokenizer).entries()) {
    if (i > 0) for (let k = 0; k < imageTokens; k++) append(IMAGE_TOKEN_INDEX, false);
    const parts = tokenizer.encodeParts(
      chunk.map(segment => segment.text),
      { addBos: i === 0 },
    );
    for (const [j, part] of parts.entries()) {
      for (const id of part) {
        if (id === tokenizer.tokenToId('<image>'))
          for (let k = 0; k < imageTokens; k++) append(IMAGE_TOKEN_INDEX, false);
        else append(id, chunk[j]!.trained);
      }
    }
  }
  return { ids, trained };
}

/**
 * The stretches cut at each `<image>`, which the original code tokenises one by one. A tokenizer that knows `<image>`
 * (Hugging Face format) reads the whole prompt at once: a single chunk.
 */
function splitAtImages(segments: readonly Segment[], tokenizer: Tokenizer): Segment[][] {
  if (tokenizer.tokenToId('<image>') !== undefined) return [[...segments]];
  const chunks: Segment[][] = [[]];
  for (const { text, trained } of segments) {
    for (const [i, piece] of text.split('<image>').entries()) {
      if (i > 0) chunks.push([]);
      if (piece !== '') chunks.at(-1)!.push({ text: piece, trained });
    }
  }
  return chunks;
}
