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
  type Template,
  type Tokenizer,
} from '../processor/index.ts';
import type { Sample } from './sample.ts';
import { framingIds, trainingSegments } from './training-text.ts';

export { IMAGE_TOKEN_INDEX };

/** Which rows of features stand in the positions of an image. */
export interface ImageRows {
  /** Of each position: a row of the image's own features, or −1 for the vector that ends a row of tiles. */
  readonly rows: ArrayLike<number>;
  /** Rows of features that the image's tiles become. */
  readonly featureRows: number;
}

/** An image of an example. */
export interface ExampleImage extends ImageRows {
  /** Normalised pixels [tiles, 3, S, S] */
  readonly pixels: Float32Array;
}

/** Tokens of one conversation; each image is a run of {@link IMAGE_TOKEN_INDEX}. */
export interface Example {
  readonly id: string;
  readonly ids: readonly number[];
  /** For each token: is it a target? */
  readonly trained: readonly boolean[];
  /** The images that have a position left. The last has more than are left when the cut went through it. */
  readonly images: readonly ExampleImage[];
  /** True when the conversation was longer than `maxLength` and was cut. */
  readonly truncated: boolean;
}

/** How conversations become examples. */
export interface ExampleOptions {
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** Pixels of an image, [tiles, 3, S, S]. */
  readonly preprocess: (image: RgbImage) => Float32Array;
  readonly imageRows: (image: RgbImage) => ImageRows;
  /** Longest example in tokens, image tokens included; the rest is cut. */
  readonly maxLength: number;
}

/** Throws {@link LlavaError} when the number of `<image>` marks is not the number of images. */
export function buildExample(sample: Sample, options: ExampleOptions): Example {
  const { tokenizer, maxLength, preprocess, imageRows } = options;
  const encoding = tokenizer.tokenToId(IMAGE_MARK) === undefined ? 'llava' : 'hf';
  const segments = trainingSegments(options.template, sample.conversations);
  const encoded = encodeSegments(tokenizer, segments, { encoding });
  const marks = encoded.ids.filter(id => id === IMAGE_TOKEN_INDEX).length;
  if (marks !== sample.images.length) {
    throw new LlavaError(`sample ${sample.id}: expected ${sample.images.length} <image> marks, got ${marks}`);
  }
  const places = sample.images.map(imageRows);
  const framing = framingIds(options.template, tokenizer);
  const targets = encoded.trained.map((target, i) => target || framing.has(encoded.ids[i]!));
  const { ids, trained, starts } = expandImages({ ids: encoded.ids, trained: targets }, places);
  const images = starts.flatMap((start, i) =>
    start < maxLength ? [{ ...places[i]!, pixels: preprocess(sample.images[i]!) }] : [],
  );
  return {
    id: sample.id,
    ids: ids.slice(0, maxLength),
    trained: trained.slice(0, maxLength),
    images,
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
    images: [],
    truncated: ids.length > maxLength,
  };
}

/** Each image's mark repeated for all its positions, and where those begin. */
function expandImages(encoded: { ids: readonly number[]; trained: readonly boolean[] }, places: readonly ImageRows[]) {
  const [ids, trained, starts]: [number[], boolean[], number[]] = [[], [], []];
  for (const [i, id] of encoded.ids.entries()) {
    const copies = id === IMAGE_TOKEN_INDEX ? places[starts.length]!.rows.length : 1;
    if (id === IMAGE_TOKEN_INDEX) starts.push(ids.length);
    for (let copy = 0; copy < copies; copy++) {
      ids.push(id);
      trained.push(encoded.trained[i]!);
    }
  }
  return { ids, trained, starts };
}
