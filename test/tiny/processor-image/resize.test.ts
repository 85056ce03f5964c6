import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  pasteImage,
  type ResampleFilter,
  resizeImage,
  resizeWindow,
  solidImage,
} from '../../../src/processor/image/index.ts';
import { noiseImage, readGolden, sha256 } from './support.ts';

interface ResizeCase {
  readonly seed: number;
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly sha256: { readonly [K in ResampleFilter]: string };
}

const FILTERS: readonly ResampleFilter[] = ['bilinear', 'bicubic', 'lanczos'];
const side = fc.integer({ min: 1, max: 40 });
const level = fc.integer({ min: 0, max: 255 });

describe('resizeImage', () => {
  for (const { seed, from, to, sha256: hashes } of readGolden<{ cases: ResizeCase[] }>('resize.json').cases) {
    it(`gives Pillow's pixels for ${from.join(' × ')} → ${to.join(' × ')}`, () => {
      const image = noiseImage(from[0], from[1], seed);
      for (const filter of FILTERS) {
        const resized = resizeImage(image, to[0], to[1], filter);
        expect([resized.width, resized.height]).toEqual(to);
        expect(sha256(resized.data), filter).toBe(hashes[filter]);
      }
    });
  }

  it('leaves a constant as it is', () => {
    const colour = fc.tuple(level, level, level);
    const property = fc.property(side, side, side, side, colour, fc.constantFrom(...FILTERS), (w, h, x, y, rgb, f) => {
      expect(sha256(resizeImage(solidImage(w, h, rgb), x, y, f).data)).toBe(sha256(solidImage(x, y, rgb).data));
    });
    fc.assert(property, { numRuns: 100 });
  });

  it('copies a picture that keeps its size', () => {
    const image = noiseImage(31, 17, 5);
    for (const filter of FILTERS) expect(sha256(resizeImage(image, 31, 17, filter).data)).toBe(sha256(image.data));
  });
});

describe('resizeWindow', () => {
  it('computes the same pixels as cropping the whole result', () => {
    const image = noiseImage(23, 19, 1);
    const property = fc.property(side, side, fc.nat(39), fc.nat(39), (width, height, x, y) => {
      const [left, top] = [x % width, y % height];
      const window = { left, top, width: width - left, height: height - top };
      const canvas = { image, width: 23, height: 19, left: 0, top: 0, fill: [0, 0, 0] as const };
      const whole = resizeImage(image, width, height);
      const rows = Array.from({ length: window.height }, (_, row) =>
        whole.data.subarray(((top + row) * width + left) * 3, (top + row + 1) * width * 3),
      );
      expect(sha256(resizeWindow(canvas, width, height, window).data)).toBe(sha256(Buffer.concat(rows)));
    });
    fc.assert(property, { numRuns: 100 });
  });

  it('treats the canvas around the image as if it were pixels', () => {
    const image = noiseImage(9, 6, 2);
    const property = fc.property(
      fc.nat(20),
      fc.nat(20),
      side,
      side,
      fc.constantFrom(...FILTERS),
      (left, top, w, h, filter) => {
        const fill = [122, 116, 104] as const;
        const canvas = { image, width: 30, height: 27, left, top, fill };
        const drawn = solidImage(30, 27, fill);
        pasteImage(drawn, image, left, top);
        const window = { left: 0, top: 0, width: w, height: h };
        expect(sha256(resizeWindow(canvas, w, h, window, filter).data)).toBe(
          sha256(resizeImage(drawn, w, h, filter).data),
        );
      },
    );
    fc.assert(property, { numRuns: 100 });
  });
});
