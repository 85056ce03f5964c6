/**
 * @file Resampling that gives Pillow's pixels exactly: `Image.resize` on 8-bit channels, as published in Pillow's
 * documentation ("Filters") and followed by its Resample.c: separable convolution, the horizontal pass first, weights
 * as integers of 22 fractional bits, and 8-bit rounding after each pass. When shrinking, the filter is widened by the
 * scale, which is what keeps it free of aliasing.
 *
 * Only a window of the result is computed, and the picture may lie on a larger canvas of one colour: cropping and
 * padding then cost nothing, however long and thin the picture is.
 */

import { assert } from '../../core/index.ts';
import type { Rgb, RgbImage } from './rgb-image.ts';

export type ResampleFilter = 'bilinear' | 'bicubic' | 'lanczos';

/** A picture at (left, top) of a canvas filled with one colour. */
export interface Canvas {
  readonly image: RgbImage;
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly fill: Rgb;
}

/** Part of the resized picture: columns [left, left + width), rows [top, top + height). */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** `image` scaled to width × height; equal to Pillow's `image.resize((width, height), filter)`. */
export function resizeImage(
  image: RgbImage,
  width: number,
  height: number,
  filter: ResampleFilter = 'bicubic',
): RgbImage {
  const canvas = { image, width: image.width, height: image.height, left: 0, top: 0, fill: [0, 0, 0] } as const;
  return resizeWindow(canvas, width, height, { left: 0, top: 0, width, height }, filter);
}

/** What `window` shows of `canvas` scaled to width × height. */
export function resizeWindow(
  canvas: Canvas,
  width: number,
  height: number,
  window: Window,
  filter: ResampleFilter = 'bicubic',
): RgbImage {
  const { image, left, top } = canvas;
  assert(window.left >= 0 && window.left + window.width <= width, 'resize window is wider than the picture');
  assert(window.top >= 0 && window.top + window.height <= height, 'resize window is higher than the picture');
  const across: Axis = { canvasSize: canvas.width, offset: left, imageSize: image.width };
  const down: Axis = { canvasSize: canvas.height, offset: top, imageSize: image.height };
  const columns = planAxis(across, width, window.left, window.width, FILTERS[filter]);
  const rows = planAxis(down, height, window.top, window.height, FILTERS[filter]);
  const [begin, end] = usedRange(rows);
  const narrow = resampleRows(image, columns, begin, end, canvas.fill);
  return resampleColumns(narrow, window.width, rows, begin, canvas.fill);
}

interface Filter {
  /** Half width of the filter at scale 1, in pixels. */
  readonly support: number;
  readonly weight: (distance: number) => number;
}

const FILTERS: { readonly [K in ResampleFilter]: Filter } = {
  bilinear: { support: 1, weight: x => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: x => cubic(Math.abs(x)) },
  lanczos: { support: 3, weight: x => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys' cubic convolution with a = −0.5. */
function cubic(x: number): number {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Fractional bits of the weights: 32 less 8 for the pixel and 2 for the overshoot of the filters. */
const PRECISION = 22;
const ONE = 2 ** PRECISION;
const HALF = ONE / 2;

/** Weights of one axis: output i is Σ weights[i·stride + k] · pixel[first[i] + k] for k < count[i], + outside[i] · fill. */
interface AxisPlan {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly outside: Int32Array;
  readonly stride: number;
}

/** One axis of a {@link Canvas}: the image covers [offset, offset + imageSize) of canvasSize. */
interface Axis {
  readonly canvasSize: number;
  readonly offset: number;
  readonly imageSize: number;
}

/** Plans outputs [begin, begin + length) of the axis scaled to `outSize`. `first` counts from the image's own edge. */
function planAxis(axis: Axis, outSize: number, begin: number, length: number, filter: Filter): AxisPlan {
  const scale = axis.canvasSize / outSize;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const [first, count, outside] = [new Int32Array(length), new Int32Array(length), new Int32Array(length)];
  const weights = new Int32Array(length * stride);
  for (let i = 0; i < length; i++) {
    const center = (begin + i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(center - support + 0.5));
    const high = Math.min(axis.canvasSize, Math.trunc(center + support + 0.5));
    const taps = tapWeights(filter, low, high, center, 1 / stretch);
    const [from, to] = insideTaps(axis, low, taps);
    weights.set(taps.subarray(from, to), i * stride);
    first[i] = low + from - axis.offset;
    count[i] = to - from;
    outside[i] = sum(taps) - sum(taps.subarray(from, to));
  }
  return { first, count, weights, outside, stride };
}

/** Weights of canvas pixels [low, high) around `center`: they add up to one before they are rounded. */
function tapWeights(filter: Filter, low: number, high: number, center: number, shrink: number): Int32Array {
  const taps = new Float64Array(high - low);
  for (let k = 0; k < taps.length; k++) taps[k] = filter.weight((k + low - center + 0.5) * shrink);
  const total = sum(taps);
  return Int32Array.from(taps, tap => roundHalfAway((tap / total) * ONE));
}

/** Taps [from, to) that lie on the image, without zeros at the ends: one tap is left where nothing is scaled. */
function insideTaps(axis: Axis, low: number, taps: Int32Array): [number, number] {
  let from = Math.max(0, axis.offset - low);
  let to = Math.max(from, Math.min(taps.length, axis.offset + axis.imageSize - low));
  while (from < to && taps[from] === 0) from++;
  while (to > from && taps[to - 1] === 0) to--;
  return [from, to];
}

function sum(values: Float64Array | Int32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function roundHalfAway(value: number): number {
  return value < 0 ? Math.trunc(value - 0.5) : Math.trunc(value + 0.5);
}

/** Image pixels [begin, end) that the plan touches. */
function usedRange({ first, count }: AxisPlan): [number, number] {
  let [begin, end] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < first.length; i++) {
    if (count[i] === 0) continue;
    begin = Math.min(begin, first[i]!);
    end = Math.max(end, first[i]! + count[i]!);
  }
  return end === 0 ? [0, 0] : [begin, end];
}

/** Horizontal pass over image rows [begin, end): [end − begin, plan length, 3] bytes. */
function resampleRows(image: RgbImage, plan: AxisPlan, begin: number, end: number, fill: Rgb): Uint8ClampedArray {
  const { first, count, weights, outside, stride } = plan;
  const length = first.length;
  const source = image.data;
  const out = new Uint8ClampedArray((end - begin) * length * 3);
  const [fillRed, fillGreen, fillBlue] = fill;
  let o = 0;
  for (let y = begin; y < end; y++) {
    const row = y * image.width;
    for (let x = 0; x < length; x++) {
      let [i, w] = [(row + first[x]!) * 3, x * stride];
      let red = HALF + fillRed * outside[x]!;
      let green = HALF + fillGreen * outside[x]!;
      let blue = HALF + fillBlue * outside[x]!;
      for (const stop = w + count[x]!; w < stop; w++, i += 3) {
        const weight = weights[w]!;
        red = (red + Math.imul(weight, source[i]!)) | 0;
        green = (green + Math.imul(weight, source[i + 1]!)) | 0;
        blue = (blue + Math.imul(weight, source[i + 2]!)) | 0;
      }
      out[o++] = red >> PRECISION;
      out[o++] = green >> PRECISION;
      out[o++] = blue >> PRECISION;
    }
  }
  return out;
}

/**
 * Vertical pass over rows of `width` pixels, the first of which is image row `begin`. Rows outside the image count as
 * `fill`: the horizontal pass leaves a constant as it is, its weights being off from one by less than half a level.
 */
function resampleColumns(rows: Uint8ClampedArray, width: number, plan: AxisPlan, begin: number, fill: Rgb): RgbImage {
  const { first, count, weights, outside, stride } = plan;
  const height = first.length;
  const out = new Uint8ClampedArray(height * width * 3);
  const sums = new Int32Array(width * 3);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < sums.length; i++) sums[i] = HALF + fill[i % 3]! * outside[y]!;
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const start = (first[y]! + k - begin) * sums.length;
      for (let i = 0; i < sums.length; i++) sums[i] = (sums[i]! + Math.imul(weight, rows[start + i]!)) | 0;
    }
    const o = y * sums.length;
    for (let i = 0; i < sums.length; i++) out[o + i] = sums[i]! >> PRECISION;
  }
  return { width, height, data: new Uint8Array(out.buffer) };
}
