/**
 * @file SVG drawings → pixels, with sharp (librsvg). Drawings are trimmed to what is painted and made to fill a square, so
 * that every style comes in the same size; the training augmentation then chooses size and place.
 */

import { LlavaError } from '../../../core/index.ts';

/** Straight-alpha pixels: width × height × 4 bytes, channels R G B A. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

type SharpFactory = typeof import('sharp')['default'];
let loading: Promise<SharpFactory> | undefined;

async function sharpFactory(): Promise<SharpFactory> {
  loading ??= import('sharp').then(module => module.default);
  return loading;
}

/** Renders a square SVG as it is, margins included, at `side` × `side` pixels. */
export async function renderSvg(svg: string, side: number): Promise<RgbaImage> {
  const sharp = await sharpFactory();
  const sized = svg.replace('<svg ', `<svg width="${side}" height="${side}" `);
  try {
    const picture = sharp(Buffer.from(sized)).resize(side, side, { fit: 'contain', background: TRANSPARENT });
    const data = await picture.ensureAlpha().raw().toBuffer();
    return { width: side, height: side, data };
  } catch (error) {
    throw new LlavaError(`emoji drawing: expected an SVG, got ${(error as Error).message.split('\n')[0]}`);
  }
}

const TRANSPARENT = { r: 0, g: 0, b: 0, alpha: 0 };

/** Pixels fainter than this do not count as painted: shadows and the fringe of antialiasing. */
const FAINT = 24;

/** Renders a drawing so that its painted part fills `side` × `side` pixels, centred, with its proportions kept. */
export async function renderTrimmed(svg: string, side: number): Promise<RgbaImage> {
  const sharp = await sharpFactory();
  const large = await renderSvg(svg, 2 * side);
  const box = paintedBox(large);
  if (!box) return { width: side, height: side, data: new Uint8Array(side * side * 4) };
  const raw = { width: large.width, height: large.height, channels: 4 as const };
  const data = await sharp(large.data, { raw })
    .extract(box)
    .resize(side, side, { fit: 'contain', background: TRANSPARENT })
    .raw()
    .toBuffer();
  return { width: side, height: side, data };
}

function paintedBox({ width, height, data }: RgbaImage) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, i = 3; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      if (data[i]! < FAINT) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Multiplies the colours of straight-alpha RGBA bytes by their alpha, so that they can be averaged. */
export function premultiply(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    for (let c = 0; c < 3; c++) out[i + c] = Math.round((data[i + c]! * alpha) / 255);
    out[i + 3] = alpha;
  }
  return out;
}
