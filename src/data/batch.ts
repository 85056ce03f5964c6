/** @file Examples side by side, padded on the right, in the form that the training graphs of `models` ask for. */

import { type HostTensor, hostTensor, i64Tensor, LlavaError } from '../core/index.ts';
import type { Tokenizer } from '../processor/index.ts';
import { type Example, IMAGE_TOKEN_INDEX } from './example.ts';

/** Feeds of the LLaVA training graph. B examples, T tokens, N tiles of images, M rows of their features, R targets. */
export interface Batch {
  readonly feeds: {
    /** f32 [N, 3, S, S] */
    readonly pixels: HostTensor;
    /** i64 [B, T]; 0 at image positions and padding */
    readonly ids: HostTensor;
    /** i64 [B, T]: b·T + t for a token, B·T + m for row m of the features, B·T + M for the newline vector after them */
    readonly source: HostTensor;
    /** i64 [R]: flat positions b·T + t whose next token is a target */
    readonly rows: HostTensor;
    /** i64 [R]: those next tokens */
    readonly targets: HostTensor;
  };
  /** Tokens without padding. */
  readonly tokens: number;
  /** Examples given that had been cut at `maxLength`. */
  readonly truncated: number;
  /** Examples given that are not in the batch since nothing in them is a target: they were cut before an answer. */
  readonly skipped: number;
}

/** Sizes of the images in a batch. */
export interface CollateOptions {
  /** Side of the images, pixels. */
  readonly imageSize: number;
}

/** Throws {@link LlavaError} when no example has a target: such a batch has no loss. */
export function collate(examples: readonly Example[], { imageSize }: CollateOptions): Batch {
  const kept = examples.filter(({ trained }) => trained.includes(true, 1));
  const truncated = examples.filter(example => example.truncated).length;
  if (kept.length === 0) {
    const names = examples.map(example => example.id).join(', ');
    throw new LlavaError(
      `batch of ${names}: expected a trained token, got none (${truncated} of ${examples.length} examples were cut)`,
    );
  }
  const pixels = kept.flatMap(example => example.images.map(image => image.pixels));
  return {
    feeds: { pixels: stackPixels(pixels, imageSize), ...stackTokens(kept) },
    tokens: kept.reduce((sum, example) => sum + example.ids.length, 0),
    truncated,
    skipped: examples.length - kept.length,
  };
}

/** `ids` and `source` padded to the longest example; `rows` and `targets` of all. */
function stackTokens(examples: readonly Example[]) {
  const length = Math.max(...examples.map(example => example.ids.length));
  const shape = [examples.length, length];
  const size = examples.length * length;
  const ids = new BigInt64Array(size);
  const source = BigInt64Array.from({ length: size }, (_, i) => BigInt(i));
  const [rows, targets]: [number[], number[]] = [[], []];
  const features = featureSources(examples, size);
  for (const [b, example] of examples.entries()) {
    let next = 0;
    for (const [t, id] of example.ids.entries()) {
      const position = b * length + t;
      if (id === IMAGE_TOKEN_INDEX) source[position] = BigInt(features[b]![next++]!);
      else ids[position] = BigInt(id);
      if (t > 0 && example.trained[t]) {
        rows.push(position - 1);
        targets.push(id);
      }
    }
  }
  return {
    ids: hostTensor('i64', shape, ids),
    source: hostTensor('i64', shape, source),
    rows: i64Tensor([rows.length], rows),
    targets: i64Tensor([targets.length], targets),
  };
}

/** For each example the source of each of its images' positions, when features follow `first` token rows. */
function featureSources(examples: readonly Example[], first: number): number[][] {
  const counts = examples.flatMap(({ images }) => images.map(image => image.featureRows));
  const newline = first + counts.reduce((sum, count) => sum + count, 0);
  let next = first;
  return examples.map(({ images }) =>
    images.flatMap(({ rows, featureRows }) => {
      const begin = next;
      next += featureRows;
      return Array.from(rows, row => (row < 0 ? newline : begin + row));
    }),
  );
}

/** Pictures of one or more tiles, each flat, → [N, 3, S, S]. */
export function stackPixels(pixels: readonly Float32Array[], imageSize: number): HostTensor {
  const tiles = pixels.reduce((sum, { length }) => sum + length, 0) / (3 * imageSize * imageSize || 1);
  const data = new Float32Array(tiles * 3 * imageSize * imageSize);
  let at = 0;
  for (const one of pixels) {
    data.set(one, at);
    at += one.length;
  }
  return hostTensor('f32', [tiles, 3, imageSize, imageSize], data);
}

/** An image and what it shows. */
export interface CaptionedImage {
  readonly pixels: Float32Array;
  readonly caption: string;
}

/** Feeds of the contrastive graph for N captioned images; captions end with EOS and are cut to `maxTokens`. */
export function collateClip(
  pairs: readonly CaptionedImage[],
  { tokenizer, imageSize, maxTokens }: { tokenizer: Tokenizer; imageSize: number; maxTokens: number },
): { feeds: Readonly<Record<'pixels' | 'ids' | 'lastToken' | 'groups', HostTensor>>; truncated: number } {
  const captions = [...new Set(pairs.map(pair => pair.caption))];
  const encoded = pairs.map(({ caption }) => tokenizer.encode(caption));
  const texts = encoded.map(text => [...text.slice(0, maxTokens - 1), tokenizer.eosId!]);
  const length = Math.max(...texts.map(text => text.length));
  const ids = new BigInt64Array(pairs.length * length);
  for (const [n, text] of texts.entries()) {
    for (const [t, id] of text.entries()) ids[n * length + t] = BigInt(id);
  }
  const feeds = {
    pixels: stackPixels(
      pairs.map(pair => pair.pixels),
      imageSize,
    ),
    ids: hostTensor('i64', [pairs.length, length], ids),
    lastToken: i64Tensor(
      [pairs.length],
      texts.map((text, n) => n * length + text.length - 1),
    ),
    groups: i64Tensor(
      [pairs.length],
      pairs.map(pair => captions.indexOf(pair.caption)),
    ),
  };
  return { feeds, truncated: encoded.filter(text => text.length >= maxTokens).length };
}
