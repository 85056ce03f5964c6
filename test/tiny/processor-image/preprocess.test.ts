import { describe, expect, it } from 'vitest';
import {
  CLIP_336,
  type ImageMode,
  type ImageSettings,
  padTile,
  parseImageSettings,
  preprocessImage,
  type RgbImage,
  solidImage,
} from '../../../src/processor/image/index.ts';
import { noiseImage, readGolden, sha256 } from './support.ts';

interface PreprocessCase {
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly images: Readonly<Record<string, { readonly shape: readonly number[]; readonly sha256: string }>>;
}

describe('preprocessImage', () => {
  for (const { name, config, images } of readGolden<{ cases: PreprocessCase[] }>('preprocess.json').cases) {
    it(`gives the values of transformers with ${name}, bit for bit`, () => {
      const settings = parseImageSettings(config, 'preprocessor_config.json');
      for (const [index, [size, expected]] of Object.entries(images).entries()) {
        const [width, height] = size.split('x').map(Number) as [number, number];
        const { shape, data } = preprocessImage(noiseImage(width, height, index), settings);
        expect(shape, size).toEqual(expected.shape);
        expect(sha256(data as Float32Array), size).toBe(expected.sha256);
      }
    });
  }

  it('pads when the mode or the settings ask for it', () => {
    const hash = (settings: ImageSettings, mode?: ImageMode) =>
      sha256(preprocessImage(noiseImage(50, 31, 4), settings, mode).data as Float32Array);
    const padding = { ...CLIP_336, padToSquare: true };
    expect(hash(CLIP_336, 'pad')).toBe(hash(padding));
    expect(hash(padding, 'square')).toBe(hash(CLIP_336));
    expect(hash(padding)).not.toBe(hash(CLIP_336));
  });

  it('pads with the mean colour', () => {
    const tile = padTile(solidImage(336, 168, [1, 2, 3]), CLIP_336);
    expect([...tile.data.subarray(0, 3)]).toEqual([122, 116, 104]);
    expect([...tile.data.subarray(168 * 336 * 3, 168 * 336 * 3 + 3)]).toEqual([1, 2, 3]);
  });

  it('takes the thinnest picture that decodeImage passes, quickly and without the memory of its square', () => {
    const line: RgbImage = solidImage(65_535, 1, [9, 8, 7]);
    for (const mode of ['square', 'pad'] as const) {
      expect(preprocessImage(line, CLIP_336, mode).shape).toEqual([3, 336, 336]);
    }
  });

  it('surrounds a picture smaller than the crop with black', () => {
    const settings: ImageSettings = { ...CLIP_336, resize: { kind: 'exact', width: 2, height: 2 }, normalize: false };
    const { data } = preprocessImage(solidImage(4, 4, [255, 0, 0]), {
      ...settings,
      centerCrop: { width: 4, height: 4 },
    });
    expect([...data.slice(0, 16)]).toEqual([0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
  });
});
