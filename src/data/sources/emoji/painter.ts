/**
 * @file Puts drawings on a canvas with plain loops over pixels: training needs thousands of pictures a second, more than a
 * picture library gives at this size. S is the side of the canvas, D that of a drawing; all colours are multiplied by
 * alpha, 0 to 255.
 */

import { assert } from '../../../core/index.ts';
import type { RgbImage } from '../../../processor/index.ts';

/** Where a drawing goes. Lengths in canvas pixels, from the top left. */
export interface Placement {
  readonly centerX: number;
  readonly centerY: number;
  /** Size of the drawing's square before rotation. */
  readonly width: number;
  readonly height: number;
  /** Radians, clockwise. */
  readonly angle: number;
  /** Mirrored left to right. */
  readonly flip: boolean;
  /** Bends straight lines into waves. */
  readonly bend?: Bend;
}

/** Rows are moved sideways and columns up and down, each by a sine of where they are. */
export interface Bend {
  /** Largest displacement of rows and of columns, parts of the drawing's size. */
  readonly amplitude: readonly [rows: number, columns: number];
  /** Waves over the canvas. */
  readonly waves: number;
  /** Radians. */
  readonly phase: number;
}

/** How a drawing looks. */
export interface Look {
  /** 3 × 4 numbers, row by row: new channel = R, G, B and 255 weighted. */
  readonly colours: readonly number[];
  /** Width of a black line around and inside the drawing, pixels; 0 none, at most 2. */
  readonly outline: 0 | 1 | 2;
  /** With an outline: paints the areas white. */
  readonly lineArt: boolean;
  /** Steps between black and full of each channel: few make shading flat. Absent: all. */
  readonly levels?: number;
}

/** Leaves a drawing as it is. */
export const PLAIN_LOOK: Look = { colours: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], outline: 0, lineArt: false };

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Pixels around a drawing that its outline may need. */
const OUTLINE_ROOM = 3;

/** A canvas that is used again and again. */
export class Painter {
  readonly side: number;
  #canvas: Uint8ClampedArray;
  readonly #layer: Float32Array;
  readonly #scratch: Float32Array;
  /** Part of the layer in use: rows [top, bottom), columns [left, right). */
  #box: Box = { left: 0, top: 0, right: 0, bottom: 0 };

  /** @param side of the canvas, pixels. */
  constructor(side: number) {
    this.side = side;
    this.#canvas = new Uint8ClampedArray(side * side * 3);
    this.#layer = new Float32Array(side * side * 4);
    this.#scratch = new Float32Array(side * side);
  }

  /** Starts a picture: `background` gives R, G, B at relative height 0 (top) to 1. */
  start(background: (height: number) => readonly [number, number, number]): void {
    const { side } = this;
    this.#canvas = new Uint8ClampedArray(side * side * 3);
    for (let y = 0, i = 0; y < side; y++) {
      const [red, green, blue] = background(y / side);
      for (let x = 0; x < side; x++) {
        this.#canvas[i++] = red;
        this.#canvas[i++] = green;
        this.#canvas[i++] = blue;
      }
    }
  }

  /** Paints a drawing of `drawingSide` pixels a side over what is there. */
  add(pixels: Uint8Array, drawingSide: number, placement: Placement, look: Look): void {
    this.#sample(pixels, drawingSide, placement);
    if (look.outline > 0) this.#drawOutline(look);
    if (look.levels !== undefined) this.#flatten(look.levels);
    this.#compose(look.colours);
  }

  /** The finished picture; the canvas is the picture's from now on. */
  finish(effect?: (pixels: Uint8ClampedArray, side: number) => void): RgbImage {
    effect?.(this.#canvas, this.side);
    const data = new Uint8Array(this.#canvas.buffer);
    return { width: this.side, height: this.side, data };
  }

  /** Fills the layer with the placed drawing, by bilinear sampling of the nearest level at least half as large as it. */
  #sample(pixels: Uint8Array, drawingSide: number, place: Placement): void {
    let [source, size] = [pixels, drawingSide];
    while (size >= 1.9 * Math.max(place.width, place.height) && size % 2 === 0) {
      source = halve(source, size);
      size /= 2;
    }
    const stepX = ((place.flip ? -1 : 1) * size) / place.width;
    const stepY = size / place.height;
    const [cos, sin] = [Math.cos(place.angle), Math.sin(place.angle)];
    const [dudx, dudy, dvdx, dvdy] = [cos * stepX, sin * stepX, -sin * stepY, cos * stepY];
    const u0 = size / 2 - 0.5 - place.centerX * dudx - place.centerY * dudy;
    const v0 = size / 2 - 0.5 - place.centerX * dvdx - place.centerY * dvdy;
    const { left, top, right, bottom } = this.#placeBox(place);
    const sideways = this.#wave(place.bend, 0, size);
    const upright = this.#wave(place.bend, 1, size);
    for (let y = top; y < bottom; y++) {
      let u = u0 + (left + 0.5) * dudx + (y + 0.5) * dudy + sideways[y]!;
      let v = v0 + (left + 0.5) * dvdx + (y + 0.5) * dvdy;
      for (let x = left, out = (y * this.side + left) * 4; x < right; x++, out += 4, u += dudx, v += dvdx) {
        bilinear(source, size, u, v + upright[x]!, this.#layer, out);
      }
    }
  }

  /** Displacement at each row (axis 0) or column of the canvas, in pixels of a source of `size`. */
  #wave(bend: Bend | undefined, axis: 0 | 1, size: number): Float32Array {
    const wave = new Float32Array(this.side);
    if (!bend) return wave;
    const phase = bend.phase + 2 * axis; // so that rows and columns do not move alike
    return wave.map(
      (_, i) => size * bend.amplitude[axis] * Math.sin((2 * Math.PI * bend.waves * i) / this.side + phase),
    );
  }

  #placeBox({ centerX, centerY, width, height, angle }: Placement): Box {
    const [cos, sin] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
    const halfWidth = (cos * width + sin * height) / 2 + OUTLINE_ROOM;
    const halfHeight = (sin * width + cos * height) / 2 + OUTLINE_ROOM;
    this.#box = {
      left: Math.max(0, Math.floor(centerX - halfWidth)),
      top: Math.max(0, Math.floor(centerY - halfHeight)),
      right: Math.min(this.side, Math.ceil(centerX + halfWidth)),
      bottom: Math.min(this.side, Math.ceil(centerY + halfHeight)),
    };
    return this.#box;
  }

  /** A black line where the alpha ends (grown outwards) and where neighbouring colours differ. */
  #drawOutline({ outline, lineArt }: Look): void {
    const layer = this.#layer;
    this.#markEdges();
    const { left, top, right, bottom } = this.#box;
    for (let y = top; y < bottom; y++) {
      for (let p = y * this.side + left; p < y * this.side + right; p++) {
        const keep = 1 - this.#scratch[p]!;
        const white = layer[p * 4 + 3]! * keep;
        for (let i = p * 4; i < p * 4 + 3; i++) layer[i] = lineArt ? white : layer[i]! * keep;
      }
    }
    for (let pass = 0; pass < outline; pass++) this.#growAlpha();
  }

  /** scratch := strength of the line inside, 0 to 1, from the colour difference to the pixels right and below. */
  #markEdges(): void {
    const layer = this.#layer;
    const row = this.side * 4;
    const { left, top, right, bottom } = this.#box;
    this.#scratch.fill(0);
    for (let y = top; y < bottom - 1; y++) {
      for (let x = left, i = (y * this.side + left) * 4; x < right - 1; x++, i += 4) {
        if (layer[i + 3]! < 230 || layer[i + 7]! < 230 || layer[i + row + 3]! < 230) continue;
        const difference = distance(layer, i, i + 4) + distance(layer, i, i + row);
        if (difference > EDGE_FROM) this.#scratch[i / 4] = Math.min(1, (difference - EDGE_FROM) / EDGE_RANGE);
      }
    }
  }

  /** alpha := largest alpha among a pixel and its four neighbours, inside the box. */
  #growAlpha(): void {
    const layer = this.#layer;
    const before = this.#scratch;
    const { side } = this;
    const { left, top, right, bottom } = this.#box;
    for (let y = top; y < bottom; y++) {
      for (let p = y * side + left; p < y * side + right; p++) before[p] = layer[p * 4 + 3]!;
    }
    for (let y = top; y < bottom; y++) {
      for (let x = left, p = y * side + left; x < right; x++, p++) {
        let alpha = before[p]!;
        if (x > left) alpha = Math.max(alpha, before[p - 1]!);
        if (x < right - 1) alpha = Math.max(alpha, before[p + 1]!);
        if (y > top) alpha = Math.max(alpha, before[p - side]!);
        if (y < bottom - 1) alpha = Math.max(alpha, before[p + side]!);
        layer[p * 4 + 3] = alpha;
      }
    }
  }

  /** Rounds the channels of opaque pixels to multiples of 255/levels. */
  #flatten(levels: number): void {
    const layer = this.#layer;
    const { left, top, right, bottom } = this.#box;
    const step = 255 / levels;
    for (let y = top; y < bottom; y++) {
      for (let i = (y * this.side + left) * 4; i < (y * this.side + right) * 4; i += 4) {
        if (layer[i + 3]! < 250) continue;
        for (let channel = i; channel < i + 3; channel++) layer[channel] = Math.round(layer[channel]! / step) * step;
      }
    }
  }

  #compose(colours: readonly number[]): void {
    assert(colours.length === 12, `painter: look with ${colours.length} numbers`);
    const [rr, rg, rb, r0, gr, gg, gb, g0, br, bg, bb, b0] = colours as Twelve;
    const layer = this.#layer;
    const canvas = this.#canvas;
    const { left, top, right, bottom } = this.#box;
    for (let y = top; y < bottom; y++) {
      const end = (y * this.side + right) * 4;
      for (let i = (y * this.side + left) * 4, o = (y * this.side + left) * 3; i < end; i += 4, o += 3) {
        const alpha = layer[i + 3]!;
        if (alpha < 0.5) continue;
        const red = layer[i]!;
        const green = layer[i + 1]!;
        const blue = layer[i + 2]!;
        const rest = 1 - alpha / 255;
        canvas[o] = clamp(rr * red + rg * green + rb * blue + r0 * alpha, alpha) + rest * canvas[o]!;
        canvas[o + 1] = clamp(gr * red + gg * green + gb * blue + g0 * alpha, alpha) + rest * canvas[o + 1]!;
        canvas[o + 2] = clamp(br * red + bg * green + bb * blue + b0 * alpha, alpha) + rest * canvas[o + 2]!;
      }
    }
  }
}

/** Difference (sum over R, G, B and two neighbours) where an inner line begins, and over which it gets black. */
const EDGE_FROM = 90;
const EDGE_RANGE = 120;

type Twelve = [number, number, number, number, number, number, number, number, number, number, number, number];

function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}

function distance(layer: Float32Array, i: number, j: number): number {
  return (
    Math.abs(layer[i]! - layer[j]!) + Math.abs(layer[i + 1]! - layer[j + 1]!) + Math.abs(layer[i + 2]! - layer[j + 2]!)
  );
}

/** Reads `source` at (u, v), transparent outside, into four numbers of `target`. */
function bilinear(source: Uint8Array, size: number, u: number, v: number, target: Float32Array, out: number): void {
  if (u <= -1 || v <= -1 || u >= size || v >= size) {
    target[out] = target[out + 1] = target[out + 2] = target[out + 3] = 0;
    return;
  }
  const x = Math.floor(u);
  const y = Math.floor(v);
  const fx = u - x;
  const fy = v - y;
  const left = x >= 0 ? 1 - fx : 0;
  const right = x + 1 < size ? fx : 0;
  const top = y >= 0 ? 1 - fy : 0;
  const bottom = y + 1 < size ? fy : 0;
  const a = left * top;
  const b = right * top;
  const c = left * bottom;
  const d = right * bottom;
  const upper = Math.max(y, 0) * size;
  const lower = Math.min(y + 1, size - 1) * size;
  const before = Math.max(x, 0);
  const after = Math.min(x + 1, size - 1);
  const i = (upper + before) * 4;
  const j = (upper + after) * 4;
  const k = (lower + before) * 4;
  const l = (lower + after) * 4;
  target[out] = a * source[i]! + b * source[j]! + c * source[k]! + d * source[l]!;
  target[out + 1] = a * source[i + 1]! + b * source[j + 1]! + c * source[k + 1]! + d * source[l + 1]!;
  target[out + 2] = a * source[i + 2]! + b * source[j + 2]! + c * source[k + 2]! + d * source[l + 2]!;
  target[out + 3] = a * source[i + 3]! + b * source[j + 3]! + c * source[k + 3]! + d * source[l + 3]!;
}

/** Averages each 2 × 2 block. */
function halve(source: Uint8Array, size: number): Uint8Array {
  const half = size / 2;
  const out = new Uint8Array(half * half * 4);
  const row = size * 4;
  for (let y = 0, o = 0; y < half; y++) {
    for (let x = 0; x < half; x++) {
      const i = 2 * y * row + 8 * x;
      for (let c = 0; c < 4; c++, o++) {
        out[o] = (source[i + c]! + source[i + c + 4]! + source[i + c + row]! + source[i + c + row + 4]! + 2) >> 2;
      }
    }
  }
  return out;
}
