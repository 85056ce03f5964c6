/**
 * @file The part of a LLaVA's configuration that says how pictures of any shape become tiles and feature rows: the keys
 * `image_aspect_ratio`, `mm_patch_merge_type` and `image_grid_pinpoints` of the original repositories, which Hugging Face's
 * files share in part.
 */

import { LlavaError } from '../../core/index.ts';
import type { Fields } from '../fields.ts';

/**
 * Whose rules hold for pictures: the original repositories' or those of `transformers`. They read the pairs of
 * `image_grid_pinpoints` in opposite orders, round differently when padding is cut off, and LLaVA-1.5 pads pictures in the
 * one and crops them in the other.
 */
export type Compat = 'original' | 'hf';

/** Both values of {@link Compat}. */
export const COMPAT_NAMES = ['original', 'hf'] as const satisfies readonly Compat[];

/** How the features of several tiles become one sequence (`mm_patch_merge_type`). */
export interface PatchMerge {
  /** The grid's tiles form one picture, read row by row; else tile after tile. */
  readonly spatial: boolean;
  /** The rows and columns of the grid that show padding are cut off, and a learned vector ends each row. */
  readonly unpad: boolean;
  /** The base image's features come first. */
  readonly base: boolean;
  /** Of each 2 × 2 features the largest values are taken. */
  readonly maxPool: boolean;
}

/** How a picture is cut into tiles beside its base image. */
export interface AnyResolution {
  /**
   * Sizes in pixels of the canvases that a picture may be put on, as the file lists them: (width, height) by the original's
   * rules, (height, width) by those of `transformers`.
   */
  readonly pinpoints: readonly (readonly [number, number])[];
  /** N of `anyres_max_N`: more feature rows than those of N tiles are scaled down. */
  readonly maxTiles: number | undefined;
}

/** Tiles of the largest canvas that is read: keeps a broken file from asking for gigabytes. */
const MAX_TILES = 256;
const MAX_PINPOINTS = 1024;

/** `image_aspect_ratio` with what belongs to it. */
export interface AspectRule {
  /** What is done with one square tile; undefined where the file does not say. */
  readonly square: 'square' | 'pad' | undefined;
  readonly anyres: AnyResolution | undefined;
}

/** Reads `key`: absent, `square`, `pad`, `anyres` or `anyres_max_N`; the last two need pinpoints. */
export function parseAspect(
  fields: Fields,
  key: string,
  tileSide: number,
  fallback = '',
  pinpoints?: PinpointsFallback,
): AspectRule {
  const text = fields.string(key, fallback);
  if (text === '') return { square: undefined, anyres: undefined };
  if (text === 'square' || text === 'pad') return { square: text, anyres: undefined };
  const match = /^anyres(?:_max_([1-9]\d{0,3}))?$/.exec(text);
  if (match) {
    const maxTiles = match[1] === undefined ? undefined : Number(match[1]);
    return { square: undefined, anyres: { pinpoints: parsePinpoints(fields, tileSide, pinpoints), maxTiles } };
  }
  throw new LlavaError(`${fields.where}: expected ${key} square, pad, anyres or anyres_max_N, got ${text}`);
}

const MERGE = /^(flat|spatial(_maxpool2x2)?(_unpad)?(_nobase)?)$/;

/** Reads `mm_patch_merge_type`: `flat`, or `spatial` with any of `_maxpool2x2`, `_unpad`, `_nobase`. */
export function parseMerge(fields: Fields): PatchMerge {
  const text = fields.string('mm_patch_merge_type', 'flat');
  if (MERGE.test(text)) return mergeOf(text);
  throw new LlavaError(
    `${fields.where}: expected mm_patch_merge_type flat or spatial with _maxpool2x2, _unpad, _nobase, got ${text}`,
  );
}

function mergeOf(text: string): PatchMerge {
  const has = (part: string): boolean => text.includes(part);
  return { spatial: has('spatial'), unpad: has('unpad'), base: !has('nobase'), maxPool: has('maxpool2x2') };
}

/** The merging of Hugging Face's `llava_next`, and of the released 1.6 checkpoints. */
export const SPATIAL_UNPAD: PatchMerge = mergeOf('spatial_unpad');

/** The pinpoints of the released 1.6 checkpoints; `llava_next` files may leave them out. */
export const RELEASED_PINPOINTS: AnyResolution['pinpoints'] = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];

/** What stands for `image_grid_pinpoints` where a file has none, in any of its forms. */
type PinpointsFallback = AnyResolution['pinpoints'] | string;

/** Reads `image_grid_pinpoints`: pairs of pixels, the same as text, or `(1x1),...,(6x6)`: from and to, in tiles. */
export function parsePinpoints(
  fields: Fields,
  tileSide: number,
  fallback?: PinpointsFallback,
): AnyResolution['pinpoints'] {
  const value = fields.value('image_grid_pinpoints') ?? fallback;
  const pairs = typeof value === 'string' ? pinpointsOfText(value, tileSide) : value;
  if (Array.isArray(pairs) && pairs.length > 0 && pairs.length <= MAX_PINPOINTS) {
    if (pairs.every(pair => isPinpoint(pair, tileSide))) return pairs as AnyResolution['pinpoints'];
  }
  throw new LlavaError(
    `${fields.where}: expected image_grid_pinpoints to be pairs of multiples of ${tileSide}, ` +
      `at most ${MAX_TILES} tiles each, got ${JSON.stringify(value)?.slice(0, 80) ?? 'nothing'}`,
  );
}

function isPinpoint(pair: unknown, tileSide: number): boolean {
  if (!Array.isArray(pair) || pair.length !== 2) return false;
  const [a, b] = pair.map(size => Number(size) / tileSide) as [number, number];
  return pair.every(Number.isInteger) && [a, b].every(n => Number.isInteger(n) && n >= 1) && a * b <= MAX_TILES;
}

function pinpointsOfText(text: string, tileSide: number): unknown {
  const pairs = Array.from(text.matchAll(/[([]\s*(\d{1,6})\s*([x,])\s*(\d{1,6})\s*[)\]]/g));
  const [first, last] = [pairs[0], pairs.at(-1)];
  if (!first || !last) return undefined;
  if (first[2] === ',') return pairs.map(pair => [Number(pair[1]), Number(pair[3])]);
  const [fromA, fromB, toA, toB] = [first[1], first[3], last[1], last[3]].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  if (Math.max(toA, toB) > MAX_TILES) return undefined;
  const count = (from: number, to: number) => Math.max(0, to - from + 1);
  return Array.from({ length: count(fromA, toA) }, (_, i) =>
    Array.from({ length: count(fromB, toB) }, (_, j) => [(fromA + i) * tileSide, (fromB + j) * tileSide]),
  ).flat();
}
