/**
 * @file From a conversation to the tokens the model trains on. Which tokens are targets is known by construction: the
 * template says which stretches of the prompt are answers, and each stretch is encoded by itself.
 */

import { LlavaError } from '../core/index.ts';
import {
  encodeSegments,
  IMAGE_MARK,
  IMAGE_TOKEN_INDEX,
  type RgbImage,
  type Segment,
  type Template,
  type Tokenizer,
} from '../processor/index.ts';
import type { Sample } from './sample.ts';
import { trainingSegments } from './training-text.ts';

export { IMAGE_TOKEN_INDEX };

/** Tokens of one conversation; each image is a run of {@link IMAGE_TOKEN_INDEX}. */
export interface Example {
  readonly id: string;
  readonly ids: readonly number[];
  /** For each token: is it a target? */
  readonly trained: readonly boolean[];
  /** For each image that has a position left: normalised pixels [3, S, S]. */
  readonly pixels: readonly Float32Array[];
  /** Feature rows that `pixels` become. More than the image positions in `ids` when the cut went through an image. */
  readonly featureRows: number;
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
  const { imageTokens, maxLength } = options;
  const segments = trainingSegments(options.template, sample.conversations);
  const { ids, trained } = encodeExample(segments, options);
  const marks = countImages(ids, imageTokens);
  if (marks !== sample.images.length) {
    throw new LlavaError(`sample ${sample.id}: expected ${sample.images.length} <image> marks, got ${marks}`);
  }
  const kept = ids.slice(0, maxLength);
  const images = sample.images.slice(0, countImages(kept, imageTokens));
  return {
    id: sample.id,
    ids: kept,
    trained: trained.slice(0, maxLength),
    pixels: images.map(options.preprocess),
    featureRows: images.length * imageTokens,
    truncated: ids.length > maxLength,
  };
}

/** Texts one after another as one example, each framed by BOS and EOS, every token a target: language-model training. */
export function textExample(texts: readonly string[], tokenizer: Tokenizer, maxLength: number): Example {
  const { eosId } = tokenizer;
  if (eosId === undefined) throw new LlavaError('tokenizer: expected an end token, got none');
  const ids = texts.flatMap(text => [...tokenizer.encode(text), eosId]);
  const kept = ids.slice(0, maxLength);
  return {
    id: 'text',
    ids: kept,
    trained: kept.map(() => true),
    pixels: [],
    featureRows: 0,
    truncated: ids.length > maxLength,
  };
}

/** Images that the image positions in `ids` belong to; the last may be incomplete. */
function countImages(ids: readonly number[], imageTokens: number): number {
  return Math.ceil(ids.filter(id => id === IMAGE_TOKEN_INDEX).length / imageTokens);
}

/** Token ids of a prompt given in segments, each image as a run of `imageTokens`, and whether each token is a target. */
function encodeExample(segments: readonly Segment[], { tokenizer, imageTokens }: ExampleOptions) {
  const encoding = tokenizer.tokenToId(IMAGE_MARK) === undefined ? 'llava' : 'hf';
  const encoded = encodeSegments(tokenizer, segments, { encoding });
  const copies = encoded.ids.map(id => (id === IMAGE_TOKEN_INDEX ? imageTokens : 1));
  const repeat = <T>(values: readonly T[]): T[] => values.flatMap((value, i) => Array<T>(copies[i]!).fill(value));
  return { ids: repeat(encoded.ids), trained: repeat(encoded.trained) };
}
