/** @file Grids of tiles against transformers' LlavaNextImageProcessorPil and the original's way, bit for bit. */

import { describe, expect, it } from 'vitest';
import { type Compat, imageLayout, parseModelConfig } from '../../../src/models/index.ts';
import { parseImageSettings, preprocessTiles } from '../../../src/processor/image/index.ts';
import { noiseImage, readGolden, sha256 } from './support.ts';

interface AnyresCase {
  readonly name: string;
  readonly config: { readonly image_grid_pinpoints: number[][]; readonly crop_size: { readonly height: number } };
  readonly images: Readonly<Record<string, Readonly<Record<Compat, { tiles: number; sha256: string }>>>>;
}

describe('preprocessTiles', () => {
  for (const { name, config, images } of readGolden<{ cases: AnyresCase[] }>('anyres.json').cases) {
    const side = config.crop_size.height;
    const settings = parseImageSettings(config, 'preprocessor_config.json');
    const vision = { image_size: side, patch_size: side };
    const model = parseModelConfig(
      { ...config, model_type: 'llava_next', vision_config: vision, text_config: {} },
      'config.json',
    );
    if (model.modelType !== 'llava') throw new Error('expected a LLaVA');

    it.each(['hf', 'original'] as const)(`gives the values of ${name} as %s does, bit for bit`, compat => {
      for (const [index, [size, expected]] of Object.entries(images).entries()) {
        const [width, height] = size.split('x').map(Number) as [number, number];
        const layout = imageLayout({ ...model, compat }, { width, height });
        const { shape, data } = preprocessTiles(noiseImage(width, height, index), layout, settings, 'square');
        expect(shape, size).toEqual([expected[compat].tiles, 3, side, side]);
        expect(sha256(data as Float32Array), size).toBe(expected[compat].sha256);
      }
    });
  }
});
