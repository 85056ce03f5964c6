/**
 * @file RGB picture → what the vision tower reads: f32 [3, height, width], normalised. Follows CLIPImageProcessor and,
 * for `pad`, `expand2square` of the original LLaVA; pixels are equal to theirs bit for bit. A mode turns a picture into
 * the 8-bit tile that is normalised; each is a function of its own.
 */

import { f32Tensor, type HostTensor } from '../../core/index.ts';
import { type Canvas, resizeWindow } from './resize.ts';
import { pasteImage, type Rgb, type RgbImage, solidImage } from './rgb-image.ts';
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
