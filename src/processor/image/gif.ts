/**
 * @file First frame of a GIF, after the GIF89a specification. Written here because sharp blackens the pixels that are
 * marked transparent and accepts broken data; Pillow's `convert('RGB')` shows the palette's colours, as this does, and
 * fills what the frame does not cover with the transparent colour, else with colour 0.
 */

import { imageError, type RgbImage } from './rgb-image.ts';

/** What precedes the first frame's pixels. The frame covers part of the canvas, or all of it. */
export interface GifFrame {
  readonly width: number;
  readonly height: number;
  /** Place of the frame on the canvas. */
  readonly frame: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  readonly interlaced: boolean;
  /** 256 × RGB. */
  readonly palette: Uint8Array;
  /** Palette index around the frame. */
  readonly fill: number;
  /** Where the LZW data begins: one byte of code size, then sub-blocks. */
  readonly dataOffset: number;
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly name: string;
  at: number;
}

/** Reads up to the first frame's pixel data. `name` is for errors. */
export function parseGif(bytes: Uint8Array, name: string): GifFrame {
  const cursor: Cursor = { bytes, name, at: 6 };
  const [screenWidth, screenHeight] = [readU16(cursor), readU16(cursor)];
  const flags = readU8(cursor);
  cursor.at += 2; // background colour, which Pillow and browsers ignore; aspect ratio
  const globalPalette = readPalette(cursor, flags);
  const fill = skipToFrame(cursor);
  const [left, top, width, height] = [readU16(cursor), readU16(cursor), readU16(cursor), readU16(cursor)];
  const frameFlags = readU8(cursor);
  const palette = readPalette(cursor, frameFlags) ?? globalPalette ?? greyRamp();
  return {
    width: Math.max(screenWidth, left + width),
    height: Math.max(screenHeight, top + height),
    frame: { left, top, width, height },
    interlaced: (frameFlags & 0x40) !== 0,
    palette,
    fill,
    dataOffset: cursor.at,
  };
}

/** Pixels of the canvas with the first frame on it. */
export function decodeGif(bytes: Uint8Array, gif: GifFrame, name: string): RgbImage {
  const { frame, palette } = gif;
  const indices = decodeLzw({ bytes, name, at: gif.dataOffset }, frame.width * frame.height);
  const canvas = new Uint8Array(gif.width * gif.height).fill(gif.fill);
  const rows = gif.interlaced ? interlacedRows(frame.height) : undefined;
  for (let i = 0; i < frame.height; i++) {
    const start = (frame.top + (rows?.[i] ?? i)) * gif.width + frame.left;
    canvas.set(indices.subarray(i * frame.width, (i + 1) * frame.width), start);
  }
  const data = new Uint8Array(canvas.length * 3);
  for (let i = 0; i < canvas.length; i++) {
    const colour = canvas[i]! * 3;
    data[i * 3] = palette[colour]!;
    data[i * 3 + 1] = palette[colour + 1]!;
    data[i * 3 + 2] = palette[colour + 2]!;
  }
  return { width: gif.width, height: gif.height, data };
}

function readU8(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at++];
  if (byte === undefined) throw endsEarly(cursor);
  return byte;
}

function readU16(cursor: Cursor): number {
  const low = readU8(cursor);
  return low | (readU8(cursor) << 8);
}

function endsEarly({ name }: Cursor): Error {
  return imageError(name, 'a whole GIF image', 'a file that ends early');
}

function broken({ name }: Cursor, what: string): Error {
  return imageError(name, 'a valid GIF image', what);
}

/** Colours of a GIF that brings none: index = grey level. */
function greyRamp(): Uint8Array {
  return Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
}

/** 256 × RGB, black beyond the entries of the file; undefined when the flags announce no palette. */
function readPalette(cursor: Cursor, flags: number): Uint8Array | undefined {
  if (!(flags & 0x80)) return undefined;
  const length = 3 << ((flags & 7) + 1);
  if (cursor.at + length > cursor.bytes.length) throw endsEarly(cursor);
  const palette = new Uint8Array(768);
  palette.set(cursor.bytes.subarray(cursor.at, cursor.at + length));
  cursor.at += length;
  return palette;
}

/** Moves behind the first image separator and returns the transparent index announced on the way, else 0. */
function skipToFrame(cursor: Cursor): number {
  let transparent = 0;
  for (;;) {
    const block = readU8(cursor);
    if (block === 0x2c) return transparent;
    if (block === 0x3b) throw broken(cursor, 'one without a frame');
    if (block !== 0x21) continue; // stray byte: skipped, as Pillow does
    const isGraphicControl = readU8(cursor) === 0xf9;
    const [size, start] = [readU8(cursor), cursor.at];
    if (isGraphicControl && size >= 4 && (cursor.bytes[start] ?? 0) & 1) transparent = cursor.bytes[start + 3] ?? 0;
    cursor.at += size;
    if (size > 0) skipSubBlocks(cursor);
  }
}

function skipSubBlocks(cursor: Cursor): void {
  for (let size = readU8(cursor); size > 0; size = readU8(cursor)) cursor.at += size;
}

/** The sub-blocks' bytes in one array; a missing end is found by the decoder, if it needs it. */
function joinSubBlocks({ bytes, at }: Cursor): Uint8Array {
  const out = new Uint8Array(bytes.length - at);
  let length = 0;
  for (let size = bytes[at++] ?? 0; size > 0; size = bytes[at++] ?? 0) {
    const block = bytes.subarray(at, at + size);
    out.set(block, length);
    length += block.length;
    at += size;
  }
  return out.subarray(0, length);
}

/** Variable-length-code LZW of GIF89a, appendix F: `total` palette indices. */
function decodeLzw(cursor: Cursor, total: number): Uint8Array {
  const minCodeSize = readU8(cursor);
  if (minCodeSize < 1 || minCodeSize > 8) throw broken(cursor, `an LZW code size of ${minCodeSize}`);
  const data = joinSubBlocks(cursor);
  const clear = 1 << minCodeSize;
  const [prefix, length] = [new Uint16Array(4096), new Uint16Array(4096).fill(1)];
  const last = Uint8Array.from({ length: 4096 }, (_, code) => code);
  const first = last.slice();
  const out = new Uint8Array(total + 4096); // the last code may run over the end

  let [written, at, buffer, bits] = [0, 0, 0, 0];
  let [codeSize, next, previous] = [minCodeSize + 1, clear + 2, -1];
  while (written < total) {
    while (bits < codeSize) {
      if (at >= data.length) throw endsEarly(cursor);
      buffer |= data[at++]! << bits;
      bits += 8;
    }
    const code = buffer & ((1 << codeSize) - 1);
    buffer >>>= codeSize;
    bits -= codeSize;
    if (code === clear) {
      [codeSize, next, previous] = [minCodeSize + 1, clear + 2, -1];
      continue;
    }
    if (code === clear + 1) throw endsEarly(cursor);
    if (previous >= 0 && next < 4096) {
      // The new entry is the previous string and the first byte of this one, which may be the new entry itself.
      prefix[next] = previous;
      first[next] = first[previous]!;
      last[next] = first[code === next ? previous : code]!;
      length[next] = length[previous]! + 1;
      next++;
      if (next === 1 << codeSize && codeSize < 12) codeSize++;
    }
    if (code >= next || (previous < 0 && code >= clear)) throw broken(cursor, 'broken LZW data');
    const end = written + length[code]!;
    for (let i = end - 1, entry = code; i >= written; i--, entry = prefix[entry]!) out[i] = last[entry]!;
    written = end;
    previous = code;
  }
  return out.subarray(0, total);
}

/** Row numbers in the order in which an interlaced frame stores them. */
function interlacedRows(height: number): number[] {
  const rows: number[] = [];
  for (const [start, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ] as const) {
    for (let y = start; y < height; y += step) rows.push(y);
  }
  return rows;
}
