/**
 * @file Random variation of drawings for training, aimed at one thing: a model that has seen some styles should read one
 * it has never seen. Besides size, place, angle and colours, drawings are bent, lose their
 * shading, and get black outlines, or outlines only.
 */

import type { Rng } from '../../../core/index.ts';
import type { RgbImage } from '../../../processor/index.ts';
import type { Drawing } from './atlas.ts';
import { colourIn, inOneColour } from './colour-in.ts';
import type { Bend, Look, Painter, Placement } from './painter.ts';

/** `keep` where the answer is a colour, or depends on it: no greyscale, no other hues, no line art. */
export type ColourPolicy = 'free' | 'keep';

/** How much a picture is changed. */
interface Strength {
  /** Smallest size, part of the canvas; the largest is all of it. */
  readonly smallest: number;
  /** Width over height, up or down. */
  readonly stretch: number;
  readonly bend: { readonly chance: number; readonly amplitude: number };
}

const CALM: Strength = { smallest: 0.66, stretch: 0.08, bend: { chance: 0.5, amplitude: 0.03 } };
const WILD: Strength = { smallest: 0.62, stretch: 0.18, bend: { chance: 0.7, amplitude: 0.05 } };

/** Paints one drawing, varied, filling most of the canvas. A `calm` picture is mostly on white, and little changed. */
export function paintOne(painter: Painter, drawing: Drawing, rng: Rng, policy: ColourPolicy, calm = false): RgbImage {
  painter.start(calm && chance(rng, 0.8) ? () => [255, 255, 255] : randomBackground(rng));
  const placement = randomPlacement(rng, painter.side, calm ? CALM : WILD, !drawing.concept.oriented);
  const look = randomLook(rng, drawing, calm && chance(rng, 0.5) ? 'keep' : policy);
  painter.add(inkedPixels(drawing, rng), sideOf(drawing), placement, look);
  return painter.finish(calm ? undefined : (pixels, side) => randomEffects(rng, pixels, side));
}

/** Paints `count` (1 to 6) copies of one drawing, side by side without overlap. */
export function paintSeveral(painter: Painter, drawing: Drawing, count: number, rng: Rng): RgbImage {
  painter.start(randomBackground(rng));
  const look = {
    ...randomLook(rng, drawing, 'free'),
    ...(drawing.style.kind === 'ink' || chance(rng, 0.7) ? NO_LINE : THIN),
  };
  for (const placement of gridPlacements(painter.side, count, rng)) {
    painter.add(drawing.pixels, sideOf(drawing), placement, look);
  }
  return painter.finish();
}

/** At a third of the size there is room for a thin line only. */
const THIN = { outline: 1, lineArt: false } as const;
const NO_LINE = { outline: 0, lineArt: false } as const;

/** `count` places in the cells of a 3 × 3 grid, some way off their centres, never touching. */
export function gridPlacements(side: number, count: number, rng: Rng): Placement[] {
  const cell = side / 3;
  const cells = rng.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]).slice(0, count);
  const size = cell * (0.7 + 0.18 * rng.uniform());
  const jitter = () => 0.7 * (rng.uniform() - 0.5) * (cell - size);
  return cells.map(index => ({
    centerX: ((index % 3) + 0.5) * cell + jitter(),
    centerY: (Math.floor(index / 3) + 0.5) * cell + jitter(),
    ...{ width: size, height: size, angle: 0, flip: false },
  }));
}

/** Black drawings get colours more often than not: nobody is asked which. */
function inkedPixels(drawing: Drawing, rng: Rng): Uint8Array {
  const { pixels, style } = drawing;
  if (style.kind !== 'ink') return pixels;
  const kind = rng.uniform();
  if (kind < 0.55) return colourIn(pixels, sideOf(drawing), rng);
  return kind < 0.7 ? inOneColour(pixels, rng) : pixels;
}

function sideOf(drawing: Drawing): number {
  return Math.sqrt(drawing.pixels.length / 4);
}

function chance(rng: Rng, probability: number): boolean {
  return rng.uniform() < probability;
}

/** Uniform in [−1, 1). */
function spread(rng: Rng): number {
  return 2 * rng.uniform() - 1;
}

function randomPlacement(rng: Rng, side: number, strength: Strength, mayFlip: boolean): Placement {
  const { smallest, bend } = strength;
  const size = side * (smallest + (1 - smallest) * rng.uniform());
  const room = (side - size) / 2 + 0.03 * side;
  const stretch = 1 + strength.stretch * spread(rng);
  return {
    centerX: side / 2 + room * spread(rng),
    centerY: side / 2 + room * spread(rng),
    width: size * Math.min(stretch, 1),
    height: size * Math.min(1 / stretch, 1),
    angle: chance(rng, 0.5) ? 0.2 * spread(rng) : 0,
    flip: mayFlip && chance(rng, 0.5),
    ...(chance(rng, bend.chance) && { bend: randomBend(rng, bend.amplitude) }),
  };
}

function randomBend(rng: Rng, amplitude: number): Bend {
  return {
    amplitude: [amplitude * spread(rng), amplitude * spread(rng)],
    waves: 0.5 + 1.5 * rng.uniform(),
    phase: Math.PI * spread(rng),
  };
}

type Background = (height: number) => readonly [number, number, number];

/** White in half of the pictures, else light, else any colour that black lines show on. */
function randomBackground(rng: Rng): Background {
  if (chance(rng, 0.5)) return () => [255, 255, 255];
  const from = chance(rng, 0.6) ? 215 : 120;
  const tone = () => from + rng.int(256 - from);
  const top = [tone(), tone(), tone()] as const;
  if (chance(rng, 0.7)) return () => top;
  const bottom = [tone(), tone(), tone()] as const;
  const mix = (c: 0 | 1 | 2, height: number) => top[c] + (bottom[c] - top[c]) * height;
  return height => [mix(0, height), mix(1, height), mix(2, height)];
}

/** Drawings that are black lines already hardly get more of them. */
function randomLook(rng: Rng, { concept, style }: Drawing, asked: ColourPolicy): Look {
  const policy = concept.colourBound ? 'keep' : asked;
  const plain = chance(rng, style.kind === 'ink' ? 0.8 : 0.4);
  const outline = plain ? 0 : chance(rng, 0.6) ? 1 : 2;
  const lineArt = policy === 'free' && outline > 0 && style.kind !== 'ink' && chance(rng, 0.15);
  const levels = chance(rng, 0.3) ? { levels: 2 + rng.int(5) } : {};
  return { colours: randomColours(rng, policy), outline, lineArt, ...levels };
}

function randomColours(rng: Rng, policy: ColourPolicy): number[] {
  const brightness = 1 + 0.15 * spread(rng);
  const lift = 0.05 * spread(rng);
  if (policy === 'keep') return colourMatrix({ brightness, saturation: 1 + 0.2 * spread(rng), hue: 0, lift });
  const kind = rng.uniform();
  const saturation = kind < 0.1 ? 0 : 0.6 + 0.9 * rng.uniform();
  const hue = kind > 0.85 ? Math.PI * spread(rng) : 0.25 * spread(rng);
  return colourMatrix({ brightness, saturation, hue, lift });
}

interface ColourChange {
  readonly brightness: number;
  /** 0 grey, 1 unchanged. */
  readonly saturation: number;
  /** Radians. */
  readonly hue: number;
  /** Added to every channel, in units of 255. */
  readonly lift: number;
}

/** RGB → YIQ, chroma turned and scaled, → RGB, as one 3 × 4 matrix. */
export function colourMatrix({ brightness, saturation, hue, lift }: ColourChange): number[] {
  const [cos, sin] = [saturation * Math.cos(hue), saturation * Math.sin(hue)];
  const channel = (i: number, q: number) => {
    const weight = (yI: number, yQ: number, y: number) =>
      brightness * (y + (i * cos + q * sin) * yI + (q * cos - i * sin) * yQ);
    return [weight(0.5957, 0.2115, 0.299), weight(-0.2745, -0.5226, 0.587), weight(-0.3213, 0.3111, 0.114), lift];
  };
  return [...channel(0.9563, 0.621), ...channel(-0.2721, -0.6474), ...channel(-1.107, 1.7046)];
}

/** Now and then: blur, coarse pixels, noise, or a missing patch. */
function randomEffects(rng: Rng, pixels: Uint8ClampedArray, side: number): void {
  const kind = rng.uniform();
  if (kind < 0.06) blur(pixels, side);
  else if (kind < 0.1) pixelate(pixels, side);
  else if (kind < 0.16) addNoise(rng, pixels);
  else if (kind < 0.24) erase(rng, pixels, side);
}

function blur(pixels: Uint8ClampedArray, side: number): void {
  const before = pixels.slice();
  const row = side * 3;
  for (let y = 1; y < side - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const cross = before[i - 3]! + before[i + 3]! + before[i - row]! + before[i + row]!;
      pixels[i] = (2 * before[i]! + cross) / 6;
    }
  }
}

function pixelate(pixels: Uint8ClampedArray, side: number): void {
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = ((y & ~1) * side + (x & ~1)) * 3;
      pixels.copyWithin((y * side + x) * 3, from, from + 3);
    }
  }
}

function addNoise(rng: Rng, pixels: Uint8ClampedArray): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const bits = rng.nextUint32();
    for (let k = 0; k < 4 && i + k < pixels.length; k++)
      pixels[i + k] = pixels[i + k]! + ((bits >>> (8 * k)) & 31) - 15.5;
  }
}

function erase(rng: Rng, pixels: Uint8ClampedArray, side: number): void {
  const extent = () => Math.round(side * (0.1 + 0.2 * rng.uniform()));
  const [width, height] = [extent(), extent()];
  const [left, top] = [rng.int(side - width + 1), rng.int(side - height + 1)];
  const grey = rng.int(256);
  for (let y = top; y < top + height; y++) pixels.fill(grey, (y * side + left) * 3, (y * side + left + width) * 3);
}
