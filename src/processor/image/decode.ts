/**
 * @file Image files → RGB pixels, as Pillow's `ImageOps.exif_transpose(image).convert('RGB')` gives them: EXIF
 * orientation applied, alpha dropped without blending, colour profiles ignored, 16 bits cut to 8. JPEG, PNG and WebP
 * are decoded by sharp (libvips), GIF here. Pictures are measured by their header before anything is decoded.
 *
 * The original LLaVA drops alpha in this way; the image processors of transformers 5 blend it onto white instead.
 */

import { readFile, stat } from 'node:fs/promises';
import type { Sharp, SharpOptions } from 'sharp';
import { assert, LlavaError } from '../../core/index.ts';
import { decodeGif, parseGif } from './gif.ts';
import { imageError, type RgbImage } from './rgb-image.ts';

export interface DecodeOptions {
  /** Largest width × height that is decoded; a pixel takes 3 bytes. Default 100,000,000. */
  readonly maxPixels?: number;
  /** Largest width and largest height that are decoded, in pixels. Default 65,535. */
  readonly maxSide?: number;
  /** What errors call the picture. Default: the path or URL, or "of N bytes". */
  readonly name?: string;
}

interface Source {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly maxPixels: number;
  readonly maxSide: number;
}

/**
 * Decodes a JPEG, PNG, WebP or GIF (first frame) picture.
 * @param source path, `file:` URL, or the file's bytes.
 * @throws LlavaError `image NAME: expected …, got …` when the file is missing, broken, truncated, of another kind, or
 * larger than the limits.
 */
export async function decodeImage(source: string | URL | Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  const isBytes = source instanceof Uint8Array;
  const name = options.name ?? (isBytes ? `of ${source.length} bytes` : String(source));
  const bytes = isBytes ? source : await readImageFile(source, name);
  const { maxPixels = 100_000_000, maxSide = 65_535 } = options;
  const file: Source = { name, bytes, maxPixels, maxSide };
  const format = detectFormat(bytes);
  if (format === undefined) throw imageError(name, 'a JPEG, PNG, WebP or GIF image', describeBytes(bytes));
  return format === 'GIF' ? decodeGifFile(file) : decodeWithSharp(file, format);
}

async function readImageFile(path: string | URL, name: string): Promise<Uint8Array> {
  try {
    const entry = await stat(path);
    if (entry.isDirectory()) throw imageError(name, 'a file', 'a folder');
    if (!entry.isFile()) throw imageError(name, 'a regular file', 'a device, pipe or socket');
    return await readFile(path);
  } catch (error) {
    if (error instanceof LlavaError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw imageError(name, 'a readable file', code === 'ENOENT' ? 'no such file' : oneLine(message));
  }
}

type SharpFormat = 'JPEG' | 'PNG' | 'WebP';

/** By the first bytes: a file's name says nothing reliable, and sharp would open SVG and other kinds too. */
function detectFormat(bytes: Uint8Array): SharpFormat | 'GIF' | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith('\xff\xd8\xff')) return 'JPEG';
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG';
  if (/^RIFF....WEBP/s.test(head)) return 'WebP';
  if (/^GIF8[79]a/.test(head)) return 'GIF';
  return undefined;
}

function describeBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const start = Array.from(bytes.subarray(0, 8), byte => byte.toString(16).padStart(2, '0'));
  return `data that starts with ${start.join(' ')}`;
}

function checkSize({ name, maxPixels, maxSide }: Source, width: number, height: number): void {
  const got = `${width} × ${height}`;
  if (width < 1 || height < 1) throw imageError(name, 'at least one pixel', got);
  if (width * height > maxPixels) throw imageError(name, `at most ${maxPixels} pixels (option maxPixels)`, got);
  if (Math.max(width, height) > maxSide)
    throw imageError(name, `at most ${maxSide} pixels a side (option maxSide)`, got);
}

function decodeGifFile(file: Source): RgbImage {
  const gif = parseGif(file.bytes, file.name);
  checkSize(file, gif.width, gif.height);
  checkSize(file, gif.frame.width, gif.frame.height);
  return decodeGif(file.bytes, gif, file.name);
}

type OpenSharp = (bytes: Uint8Array, options: SharpOptions) => Sharp;
let sharpModule: Promise<OpenSharp> | undefined;

/** Loads sharp on first use, so that a program that decodes nothing starts quickly. */
function loadSharp(): Promise<OpenSharp> {
  sharpModule ??= import('sharp').then(({ default: sharp }) => {
    sharp.concurrency(1); // one picture gains nothing from more threads, and several pictures decode at once
    sharp.cache(false);
    return sharp;
  });
  return sharpModule;
}

async function decodeWithSharp(file: Source, format: SharpFormat): Promise<RgbImage> {
  if (format === 'PNG' && file.bytes.length >= 24) checkPngSize(file);
  const openSharp = await loadSharp();
  const { width, height, space, data } = await readRaw(openSharp, file, format).catch(error => {
    if (error instanceof LlavaError) throw error;
    throw imageError(file.name, `a whole and valid ${format} image`, `one that cannot be decoded (${reason(error)})`);
  });
  const rgb = TO_RGB[space](data);
  assert(rgb.length === width * height * 3, `${rgb.length} bytes for a picture of ${width} × ${height}`);
  return { width, height, data: rgb };
}

type RawSpace = 'srgb' | 'cmyk' | 'grey16';
interface RawImage extends RgbImage {
  readonly space: RawSpace;
}

/** Pixels in the space that Pillow converts to RGB in its own way, and in sRGB for all the others. */
async function readRaw(openSharp: OpenSharp, file: Source, format: SharpFormat): Promise<RawImage> {
  // `error` refuses what Pillow refuses: truncated data and bad checksums, not what a JPEG decoder only warns of.
  const open = () => openSharp(file.bytes, { failOn: 'error', ignoreIcc: true, limitInputPixels: false });
  const header = await open().metadata();
  checkSize(file, header.width, header.height);
  const isCmyk = header.space === 'cmyk';
  const space: RawSpace = isCmyk ? 'cmyk' : isDeepGreyPng(file.bytes, format) ? 'grey16' : 'srgb';
  const picture = open().autoOrient().removeAlpha().toColourspace(space);
  if (isCmyk) picture.pipelineColourspace('cmyk');
  const raw = picture.raw({ depth: space === 'grey16' ? 'ushort' : 'uchar' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, space, data };
}

/** Before libpng, which has only "corrupt header" to say about a size it does not like. */
function checkPngSize(file: Source): void {
  const view = new DataView(file.bytes.buffer, file.bytes.byteOffset);
  checkSize(file, view.getUint32(16), view.getUint32(20));
}

/** Greyscale of 16 bits without alpha channel: Pillow's mode I;16. Depth and colour type follow the size in IHDR. */
function isDeepGreyPng(bytes: Uint8Array, format: SharpFormat): boolean {
  return format === 'PNG' && bytes[24] === 16 && bytes[25] === 0;
}

const TO_RGB: { readonly [K in RawSpace]: (data: Uint8Array) => Uint8Array } = {
  srgb: data => new Uint8Array(data.buffer, data.byteOffset, data.length),
  cmyk: cmykToRgb,
  grey16: deepGreyToRgb,
};

/** Pillow's formula: channel = (255 − K) − round(ink·(255 − K) / 255), with inks as stored by Adobe (255 = full). */
function cmykToRgb(data: Uint8Array): Uint8Array {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let i = 0, o = 0; i < data.length; i += 4) {
    const light = 255 - data[i + 3]!;
    for (let c = 0; c < 3; c++) out[o++] = light - Math.round((data[i + c]! * light) / 255);
  }
  return out;
}

/** Pillow clips I;16 at 255 instead of scaling it. */
function deepGreyToRgb(data: Uint8Array): Uint8Array {
  const grey = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const out = new Uint8Array(grey.length * 3);
  for (let i = 0; i < grey.length; i++) out.fill(Math.min(grey[i]!, 255), i * 3, i * 3 + 3);
  return out;
}

/** libvips repeats itself over several lines: the first names the cause. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return oneLine(message.replace(/^Input buffer has corrupt header:|^Unknown error$/, ''));
}

function oneLine(message: string): string {
  return message.trim().split('\n')[0]!.trim() || 'corrupt data';
}
