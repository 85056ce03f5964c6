/**
 * @file Colours line drawings in, as one would with crayons: areas enclosed by ink get flat colours. A style of black lines
 * over flat colours is then nothing new. Pixels are RGBA with colours multiplied by alpha; S is the side of a drawing.
 */

import type { Rng } from '../../../core/index.ts';

/** Alpha from which a pixel is ink. */
const INK = 110;
/** Areas smaller than this part of the drawing stay as they are. */
const SMALLEST = 0.002;

/** Area of each pixel, numbered from 1; 0 for ink, and for what is open to the outside. */
interface Areas {
  readonly labels: Uint8Array;
  readonly count: number;
}

const known = new WeakMap<Uint8Array, Areas>();

/** The drawing with most of its enclosed areas filled, from a palette of one to three colours. */
export function colourIn(pixels: Uint8Array, side: number, rng: Rng): Uint8Array {
  const areas = known.get(pixels) ?? findAreas(pixels, side);
  known.set(pixels, areas);
  if (areas.count === 0) return pixels;
  const palette = Array.from({ length: 1 + rng.int(3) }, () => randomColour(rng));
  const fills = Array.from({ length: areas.count + 1 }, () => (rng.uniform() < 0.2 ? undefined : rng.pick(palette)));
  fills[0] = undefined;
  const out = pixels.slice();
  for (let i = 0; i < areas.labels.length; i++) {
    const fill = fills[areas.labels[i]!];
    if (fill) paintUnder(out, 4 * i, fill);
  }
  return out;
}

/** A silhouette in one colour, for a drawing that is all ink. */
export function inOneColour(pixels: Uint8Array, rng: Rng): Uint8Array {
  const colour = randomColour(rng);
  const out = pixels.slice();
  for (let i = 0; i < out.length; i += 4) {
    for (let c = 0; c < 3; c++) out[i + c] = out[i + c]! + (colour[c]! * out[i + 3]! * (255 - out[i + c]!)) / 65025;
  }
  return out;
}

type Colour = readonly [number, number, number];

/** Bright, of any hue. */
function randomColour(rng: Rng): Colour {
  const [hue, grey, value] = [6 * rng.uniform(), rng.uniform() * 0.7, 255 * (0.6 + 0.4 * rng.uniform())];
  const channel = (offset: number): number => {
    const part = Math.max(0, Math.min(1, Math.abs(((hue + offset) % 6) - 3) - 1));
    return value * (grey + (1 - grey) * part);
  };
  return [channel(0), channel(4), channel(2)];
}

function paintUnder(pixels: Uint8Array, i: number, colour: Colour): void {
  const rest = 1 - pixels[i + 3]! / 255;
  for (let c = 0; c < 3; c++) pixels[i + c] = Math.round(pixels[i + c]! + rest * colour[c]!);
  pixels[i + 3] = 255;
}

/** Connected parts without ink that do not reach the border, each grown by one pixel under the edge of its line. */
function findAreas(pixels: Uint8Array, side: number): Areas {
  const size = side * side;
  const open = Uint8Array.from({ length: size }, (_, i) => (pixels[4 * i + 3]! < INK ? 1 : 0));
  const labels = new Uint8Array(size);
  let count = 0;
  for (let start = 0; start < size && count < 255; start++) {
    if (!open[start]) continue;
    const { members, reachesBorder } = flood(open, start, side);
    if (reachesBorder || members.length < SMALLEST * size) continue;
    count++;
    for (const member of members) labels[member] = count;
  }
  return { labels: grow(labels, side), count };
}

/** The part that `start` belongs to; its pixels are no longer open. */
function flood(open: Uint8Array, start: number, side: number): { members: number[]; reachesBorder: boolean } {
  const members = [start];
  open[start] = 0;
  let reachesBorder = false;
  for (let next = 0; next < members.length; next++) {
    const at = members[next]!;
    const [x, y] = [at % side, Math.floor(at / side)];
    if (x === 0 || y === 0 || x === side - 1 || y === side - 1) reachesBorder = true;
    for (const near of neighbours(at, x, y, side)) {
      if (!open[near]) continue;
      open[near] = 0;
      members.push(near);
    }
  }
  return { members, reachesBorder };
}

function neighbours(at: number, x: number, y: number, side: number): number[] {
  const near: number[] = [];
  if (x > 0) near.push(at - 1);
  if (x < side - 1) near.push(at + 1);
  if (y > 0) near.push(at - side);
  if (y < side - 1) near.push(at + side);
  return near;
}

function grow(labels: Uint8Array, side: number): Uint8Array {
  return labels.map((label, at) => {
    if (label) return label;
    const near = neighbours(at, at % side, Math.floor(at / side), side);
    return near.reduce((found, one) => found || labels[one]!, 0);
  });
}
