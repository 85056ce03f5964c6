import { LlavaError } from '../../core/index.ts';

/** Decoded picture: `data` holds height × width × 3 bytes, rows from the top, channels R G B. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** One number for each of R, G, B. */
export type Rgb = readonly [number, number, number];

/** An image of one colour. */
export function solidImage(width: number, height: number, [red, green, blue]: Rgb): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
  }
  return { width, height, data };
}

/** Copies `source` into `target` with its top left corner at (left, top); it must fit. */
export function pasteImage(target: RgbImage, source: RgbImage, left: number, top: number): void {
  const stride = source.width * 3;
  for (let y = 0; y < source.height; y++) {
    const row = source.data.subarray(y * stride, (y + 1) * stride);
    target.data.set(row, ((top + y) * target.width + left) * 3);
  }
}

/** The part of `source` of width × height whose top left corner is at (left, top); it must lie inside. */
export function cropImage(source: RgbImage, left: number, top: number, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const begin = ((top + y) * source.width + left) * 3;
    data.set(source.data.subarray(begin, begin + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** The error for a picture that cannot be used: `image NAME: expected …, got …`. */
export function imageError(name: string, expected: string, got: string): LlavaError {
  return new LlavaError(`image ${name}: expected ${expected}, got ${got}`);
}
