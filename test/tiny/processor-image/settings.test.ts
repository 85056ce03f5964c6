import { describe, expect, it } from 'vitest';
import { CLIP_336, formatImageSettings, parseImageSettings } from '../../../src/processor/image/index.ts';
import { readGolden } from './support.ts';

const parse = (json: unknown) => parseImageSettings(json, 'm/preprocessor_config.json');

describe('parseImageSettings', () => {
  it('takes the values of CLIP ViT-L/14-336 for what is missing or null', () => {
    expect(parse({})).toEqual(CLIP_336);
    expect(parse({ size: null, do_pad: null, image_mean: null })).toEqual(CLIP_336);
  });

  it('reads sizes written as numbers, as in the first CLIP checkpoints', () => {
    const { resize, centerCrop } = parse({ size: 224, crop_size: 224, feature_extractor_type: 'CLIPFeatureExtractor' });
    expect(resize).toEqual({ kind: 'shortest-edge', size: 224 });
    expect(centerCrop).toEqual({ width: 224, height: 224 });
  });

  it('reads sizes written as objects', () => {
    expect(parse({ size: { shortest_edge: 28 } }).centerCrop).toEqual({ width: 28, height: 28 });
    const siglip = parse({ size: { height: 384, width: 380 }, image_mean: [0.5, 0.5, 0.5] });
    expect(siglip.resize).toEqual({ kind: 'exact', width: 380, height: 384 });
    expect(siglip.centerCrop).toEqual({ width: 380, height: 384 });
  });

  it('drops the steps that are switched off', () => {
    const settings = parse({ do_resize: false, do_center_crop: false, do_rescale: false, do_normalize: false });
    expect(settings).toEqual({
      resample: 'bicubic',
      mean: CLIP_336.mean,
      std: CLIP_336.std,
      normalize: false,
      padToSquare: false,
      unknown: {},
    });
  });

  it('keeps unknown keys', () => {
    expect(parse({ processor_class: 'LlavaProcessor', vision: [1] }).unknown).toEqual({
      processor_class: 'LlavaProcessor',
      vision: [1],
    });
  });

  it('reads back what formatImageSettings writes', () => {
    const files = readGolden<{ cases: { config: object }[] }>('preprocess.json').cases.map(({ config }) => config);
    for (const file of [...files, {}, { size: 20, processor_class: 'LlavaProcessor' }]) {
      const { unknown, ...settings } = parse(file);
      const again = parse(JSON.parse(JSON.stringify(formatImageSettings({ ...settings, unknown }))));
      expect(again).toEqual({ ...settings, unknown: { image_processor_type: expect.any(String), ...unknown } });
    }
  });

  it.each([
    [null, 'expected a JSON object, got null'],
    [[], 'expected a JSON object, got []'],
    [
      { size: '336' },
      'expected size to be N, { shortest_edge: N } or { height: N, width: N } with N from 1 to 16384, got "336"',
    ],
    [{ size: 0 }, 'expected size to be'],
    [{ size: { shortest_edge: 1e9 } }, 'expected size to be'],
    [{ size: { shortest_edge: 336, longest_edge: 672 } }, 'expected size to be'],
    [{ size: { height: 3 } }, 'expected size to be'],
    [{ crop_size: [336, 336] }, 'expected crop_size to be'],
    [{ do_resize: 1 }, 'expected do_resize to be true or false, got 1'],
    [{ do_convert_rgb: 'yes' }, 'expected do_convert_rgb to be true or false, got "yes"'],
    [{ resample: 0 }, 'expected resample to be 1 (lanczos), 2 (bilinear) or 3 (bicubic), got 0'],
    [{ image_mean: [0.5, 0.5] }, 'expected image_mean to be three numbers, got [0.5,0.5]'],
    [{ image_std: [0.5, 0, 0.5] }, 'expected image_std to be three numbers other than 0'],
    [{ rescale_factor: -1 }, 'expected rescale_factor to be a positive number, got -1'],
  ])('refuses %j', (json, message) => {
    expect(() => parse(json)).toThrow(`m/preprocessor_config.json: ${message}`);
  });
});
