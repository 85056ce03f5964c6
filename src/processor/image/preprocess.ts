/**
 * @file RGB picture → what the vision tower reads: f32 [3, height, width], normalised, once for each tile. Follows
 * CLIPImageProcessor; for `pad`, `expand2square` of the original LLaVA; for grids of tiles, LlavaNextImageProcessor, which
 * agrees with the original. Pixels are equal to theirs bit for bit. A mode turns a picture into the 8-bit tile that is
 * normalised; each is a function of its own.
 */

import { f32Tensor, type HostTensor, hostTensor } from '../../core/index.ts';
import type { ImageLayout, TileGrid } from '../../models/image-layout.ts';
import { type Canvas, resizeImage, resizeWindow } from './resize.ts';
import { cropImage, pasteImage, type Rgb, type RgbImage, solidImage } from './rgb-image.ts';
import type { ImageSettings, Size } from './settings.ts';

/**
 * `square`: scale, then cut the centre out (LLaVA v0 and v1, and stage 1 of every version).
 * `pad`: add bars of the mean colour to make a square, then scale (LLaVA v1.5).
 */
export type ImageMode = 'square' | 'pad';

const TILES: { readonly [K in ImageMode]: (image: RgbImage, settings: ImageSettings) => RgbImage } = {
  square: squareTile,
  pad: padTile,
};

/**
 * Scales, crops and normalises one picture: f32 [3, height, width], channels R G B.
 * @param mode default: what the settings say of padding, which for CLIP's own processor is `square`.
 */
export function preprocessImage(
  image: RgbImage,
  settings: ImageSettings,
  mode: ImageMode = settings.padToSquare ? 'pad' : 'square',
): HostTensor {
  return normalizeTile(TILES[mode](image, settings), settings);
}

/**
 * What the tower reads of one picture: f32 [tiles, 3, height, width], as `layout` says. One tile: by `mode`. A grid: the
 * whole picture made square without keeping its aspect, then the tiles of the canvas, row by row.
 */
export function preprocessTiles(
  image: RgbImage,
  layout: ImageLayout,
  settings: ImageSettings,
  mode: ImageMode,
): HostTensor {
  const pictures = layout.grid ? gridTiles(image, layout.grid, settings) : [TILES[mode](image, settings)];
  const { width, height } = pictures[0]!;
  const out = new Float32Array(pictures.length * 3 * width * height);
  for (const [i, picture] of pictures.entries()) {
    out.set(normalizeTile(picture, settings).data as Float32Array, i * 3 * width * height);
  }
  return hostTensor('f32', [pictures.length, 3, height, width], out);
}

/** The base image, and the tiles of the picture in the middle of its black canvas. */
function gridTiles(image: RgbImage, { canvas, columns, rows }: TileGrid, settings: ImageSettings): RgbImage[] {
  const tile = { width: canvas.width / columns, height: canvas.height / rows };
  const base = resizeImage(image, tile.width, tile.height, settings.resample);
  const { width, height } = fittedSize(image, canvas);
  const whole = solidImage(canvas.width, canvas.height, [0, 0, 0]);
  const [left, top] = [Math.floor((canvas.width - width) / 2), Math.floor((canvas.height - height) / 2)];
  pasteImage(whole, resizeImage(image, width, height, settings.resample), left, top);
  const tiles = Array.from({ length: rows * columns }, (_, i) =>
    cropImage(whole, (i % columns) * tile.width, Math.floor(i / columns) * tile.height, tile.width, tile.height),
  );
  return [base, ...tiles];
}

/** The largest size of the picture's aspect on the canvas: one side exact, the other rounded up. */
function fittedSize({ width, height }: Size, canvas: Size): Size {
  const [across, down] = [canvas.width / width, canvas.height / height];
  return across < down
    ? { width: canvas.width, height: Math.min(Math.ceil(height * across), canvas.height) }
    : { width: Math.min(Math.ceil(width * down), canvas.width), height: canvas.height };
}

/** Mode `square`: the picture scaled and its centre cut out. */
export function squareTile(image: RgbImage, settings: ImageSettings): RgbImage {
  const { width, height } = image;
  return scaleAndCrop({ image, width, height, left: 0, top: 0, fill: [0, 0, 0] }, settings);
}

/** Mode `pad`: the picture in the middle of a square of colour trunc(255·mean), scaled (and cropped, if that changes it). */
export function padTile(image: RgbImage, settings: ImageSettings): RgbImage {
  const side = Math.max(image.width, image.height);
  const left = Math.floor((side - image.width) / 2);
  const top = Math.floor((side - image.height) / 2);
  const fill = settings.mean.map(mean => Math.trunc(mean * 255)) as unknown as Rgb;
  return scaleAndCrop({ image, width: side, height: side, left, top, fill }, settings);
}

/** Scales the canvas and cuts the centre out, computing only what stays. */
function scaleAndCrop(canvas: Canvas, { resize, resample, centerCrop }: ImageSettings): RgbImage {
  const scaled = scaledSize(canvas, resize);
  const crop = centerCrop ?? scaled;
  // Offset of the crop in the scaled picture: below 0 where the crop is larger, and the rest stays black.
  const left = Math.floor((scaled.width - crop.width) / 2);
  const top = Math.floor((scaled.height - crop.height) / 2);
  const window = {
    left: Math.max(left, 0),
    top: Math.max(top, 0),
    width: Math.min(crop.width, scaled.width),
    height: Math.min(crop.height, scaled.height),
  };
  const { image } = canvas;
  const unchanged = [canvas, scaled, crop].every(
    ({ width, height }) => width === image.width && height === image.height,
  );
  if (unchanged) return image;
  const tile = resizeWindow(canvas, scaled.width, scaled.height, window, resample);
  if (tile.width === crop.width && tile.height === crop.height) return tile;
  const surrounded = solidImage(crop.width, crop.height, [0, 0, 0]);
  pasteImage(surrounded, tile, Math.max(-left, 0), Math.max(-top, 0));
  return surrounded;
}

/** Size after scaling: the shortest edge exact, the longest truncated, as in torchvision's and CLIP's Resize. */
function scaledSize({ width, height }: Size, rule: ImageSettings['resize']): Size {
  if (rule === undefined) return { width, height };
  if (rule.kind === 'exact') return { width: rule.width, height: rule.height };
  const longest = Math.trunc((rule.size * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: rule.size, height: longest } : { width: longest, height: rule.size };
}

/** 8-bit pixels → f32 [3, height, width]: value·rescaleFactor, then (value − mean) / std, rounded to f32 after each step. */
export function normalizeTile(tile: RgbImage, settings: ImageSettings): HostTensor {
  const { width, height, data } = tile;
  const plane = width * height;
  const out = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const table = normalizeTable(settings, channel);
    for (let i = 0; i < plane; i++) out[channel * plane + i] = table[data[i * 3 + channel]!]!;
  }
  return f32Tensor([3, height, width], out);
}

/** The normalised value of each of the 256 levels of a channel. */
function normalizeTable({ rescaleFactor = 1, normalize, mean, std }: ImageSettings, channel: number): Float32Array {
  const [channelMean, channelStd] = [Math.fround(mean[channel]!), Math.fround(std[channel]!)];
  return Float32Array.from({ length: 256 }, (_, level) => {
    const value = Math.fround(level * rescaleFactor);
    return normalize ? Math.fround(value - channelMean) / channelStd : value;
  });
}
