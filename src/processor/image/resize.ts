/**
 * @file Resampling that gives Pillow's pixels exactly: `Image.resize` on 8-bit channels, as published in Pillow's
 * documentation ("Filters") and by its Resample.c: separable convolution with weights that are integers of 22 fractional
 * bits, and 8-bit rounding after each pass. When shrinking, the filter is widened by the scale, which keeps it free of
 * aliasing.
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
  const { image, left, top, fill } = canvas;
  assert(window.left >= 0 && window.left + window.width <= width, 'resize window is wider than the picture');
  assert(window.top >= 0 && window.top + window.height <= height, 'resize window is higher than the picture');
  const across: Axis = { canvasSize: canvas.width, offset: left, imageSize: image.width };
  const down: Axis = { canvasSize: canvas.height, offset: top, imageSize: image.height };
  const columns = planAxis(across, width, window.left, window.width, FILTERS[filter]);
  const rows = planAxis(down, height, window.top, window.height, FILTERS[filter]);
  if (isDownFirst(canvas, width, height)) {
    const [begin, end] = usedRange(columns);
    const short = convolve(image, rows, 'down', [begin, end], fill);
    return convolve(short, shiftPlan(columns, begin), 'across', [0, window.height], fill);
  }
  const [begin, end] = usedRange(rows);
  const narrow = convolve(image, columns, 'across', [begin, end], fill);
  return convolve(narrow, shiftPlan(rows, begin), 'down', [0, window.width], fill);
}

/**
 * The order of the passes changes single levels. Pillow took the horizontal pass first until version 13 (2026), which
 * takes the vertical one first when the height loses more than twice as many pixels as the width.
 */
function isDownFirst(canvas: Canvas, width: number, height: number): boolean {
  return height < canvas.height && canvas.height - height > 2 * (canvas.width - width);
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

/** The plan for a picture whose first `begin` pixels have been left out. */
function shiftPlan(plan: AxisPlan, begin: number): AxisPlan {
  return { ...plan, first: plan.first.map(first => first - begin) };
}

/**
 * One pass: resamples along one axis, for `source`'s rows (`across`) or columns (`down`) [begin, end). In the second
 * pass the canvas around the picture counts as `fill` again, which the first has not changed: its weights add up to one
 * within less than half a level.
 */
function convolve(
  source: RgbImage,
  plan: AxisPlan,
  direction: 'across' | 'down',
  [begin, end]: readonly [number, number],
  [fillRed, fillGreen, fillBlue]: Rgb,
): RgbImage {
  const { first, count, weights, outside, stride } = plan;
  const pixels = source.data;
  const rowBytes = source.width * 3;
  const isAcross = direction === 'across';
  const tapBytes = isAcross ? 3 : rowBytes;
  const lineBytes = isAcross ? rowBytes : 3;
  const width = isAcross ? first.length : end - begin;
  const height = isAcross ? end - begin : first.length;
  const out = new Uint8ClampedArray(width * height * 3);
  let o = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = isAcross ? x : y;
      const line = begin + (isAcross ? y : x);
      let red = HALF + fillRed * outside[at]!;
      let green = HALF + fillGreen * outside[at]!;
      let blue = HALF + fillBlue * outside[at]!;
      let i = line * lineBytes + first[at]! * tapBytes;
      const stop = at * stride + count[at]!;
      for (let w = at * stride; w < stop; w++, i += tapBytes) {
        const weight = weights[w]!;
        red = (red + Math.imul(weight, pixels[i]!)) | 0;
        green = (green + Math.imul(weight, pixels[i + 1]!)) | 0;
        blue = (blue + Math.imul(weight, pixels[i + 2]!)) | 0;
      }
      out[o++] = red >> PRECISION;
      out[o++] = green >> PRECISION;
      out[o++] = blue >> PRECISION;
    }
  }
  return { width, height, data: new Uint8Array(out.buffer) };
}
