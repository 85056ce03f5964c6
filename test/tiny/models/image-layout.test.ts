/** @file Grids and token counts of pictures of many sizes against transformers and the original's rules; order of the rows. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  arrangeFeatures,
  type Compat,
  featureRows,
  imageLayout,
  type LayoutConfig,
  type LlavaConfig,
  maxImageTokens,
  NEWLINE_ROW,
  newlinePositions,
  parseModelConfig,
} from '../../../src/models/index.ts';

/** Width and height of a picture; canvas width and height and tokens of transformers; the same of the original. */
type Row = readonly number[];

interface SizeSet {
  readonly pinpoints: [number, number][];
  readonly tile: number;
  readonly patches: number;
  readonly limit?: number;
  readonly sizes: readonly Row[];
}

const FILE = new URL('../../golden/models/image-layouts.json', import.meta.url);
const SETS: Record<string, SizeSet> = JSON.parse(readFileSync(FILE, 'utf8')).sets;

/** An original configuration with the tower's size as wanted. */
function original(keys: object, tower: object): LlavaConfig {
  const json = { model_type: 'llava_llama', mm_vision_tower: 'some/tower', ...keys };
  const config = parseModelConfig(json, 'config.json', { ...tower });
  if (config.modelType !== 'llava') throw new Error('expected a LLaVA');
  return config;
}

const ANYRES = {
  image_aspect_ratio: 'anyres',
  mm_patch_merge_type: 'spatial_unpad',
  image_grid_pinpoints: SETS.released!.pinpoints,
};
const anyres = (keys: object = {}): LlavaConfig =>
  original({ ...ANYRES, ...keys }, { image_size: 336, patch_size: 14 });

describe.each(Object.entries(SETS))('%s', (_name, { pinpoints, limit, sizes, tile, patches }) => {
  const config: LayoutConfig = {
    ...anyres(),
    vision: { imageSize: tile, patchSize: Math.floor(tile / patches) },
    anyres: { pinpoints, maxTiles: limit },
  };

  test.each([
    ['hf', 2],
    ['original', 5],
  ] as const)('canvas and tokens as %s', (compat, at) => {
    const ours = sizes.map(([width, height]) => {
      const { grid, tokenCount } = imageLayout({ ...config, compat }, { width: width!, height: height! });
      return [width, height, grid!.canvas.width, grid!.canvas.height, tokenCount];
    });
    expect(ours).toEqual(sizes.map(row => [...row.slice(0, 2), ...row.slice(at, at + 3)]));
  });
});

describe('order of the rows', () => {
  /** Tiles of 2 × 2 patches on canvases of at most 3 × 2 tiles. */
  const tiny = (mm_patch_merge_type: string, compat: Compat = 'original'): LayoutConfig => ({
    ...original(
      { ...ANYRES, mm_patch_merge_type, image_grid_pinpoints: '(1x1),...,(3x2)' },
      { image_size: 28, patch_size: 14 },
    ),
    compat,
  });
  const rowsOf = (config: LayoutConfig, width: number, height: number) => [
    ...featureRows(imageLayout(config, { width, height }))!,
  ];

  test('base first, then the grid row by row, each row with a newline', () => {
    // Two tiles beside each other: features 4 … 7 and 8 … 11.
    expect(rowsOf(tiny('spatial_unpad'), 56, 28)).toEqual([0, 1, 2, 3, 4, 5, 8, 9, -1, 6, 7, 10, 11, -1]);
  });

  test('padding is left out', () => {
    // 56 × 10 on a canvas of 56 × 28: one row of patches; (2 − 0) / 2 = 1 is cut off above and below.
    const layout = imageLayout(tiny('spatial_unpad'), { width: 56, height: 10 });
    expect(layout.grid).toMatchObject({ columns: 2, rows: 1, kept: { left: 0, top: 1, width: 4, height: 0 } });
    expect(rowsOf(tiny('spatial_unpad'), 84, 40)).toEqual([
      ...[0, 1, 2, 3],
      ...[6, 7, 10, 11, 14, 15, -1],
      ...[16, 17, 20, 21, 24, 25, -1],
    ]);
  });

  test('spatial without newlines; flat tile after tile; without base', () => {
    expect(rowsOf(tiny('spatial'), 56, 28)).toEqual([0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11]);
    expect(rowsOf(tiny('flat'), 56, 28)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(rowsOf(tiny('spatial_unpad_nobase'), 56, 28)).toEqual([4, 5, 8, 9, -1, 6, 7, 10, 11, -1]);
  });

  test('transformers reads the pairs the other way round', () => {
    const grid = (compat: Compat) => imageLayout(tiny('flat', compat), { width: 300, height: 60 }).grid!;
    expect(grid('original')).toMatchObject({ columns: 3, rows: 1 });
    expect(grid('hf')).toMatchObject({ columns: 2, rows: 1 });
  });

  test('newlinePositions finds the newlines', () => {
    for (const [width, height] of [
      [640, 480],
      [300, 200],
      [1000, 7],
    ] as const) {
      const layout = imageLayout(anyres(), { width, height });
      const found = [...featureRows(layout)!].flatMap((row, i) => (row === NEWLINE_ROW ? [i] : []));
      expect(newlinePositions(layout)).toEqual(found);
    }
  });

  test('the same row never stands twice, and all rows are those of the tiles', () => {
    for (const row of SETS.released!.sizes) {
      const layout = imageLayout(anyres(), { width: row[0]!, height: row[1]! });
      const rows = [...featureRows(layout)!].filter(one => one !== NEWLINE_ROW);
      expect(new Set(rows).size).toBe(rows.length);
      expect(Math.max(...rows)).toBeLessThan(layout.tiles * layout.featuresPerTile);
      expect(featureRows(layout)!.length).toBe(layout.tokenCount);
    }
  });
});

describe('features in order', () => {
  test.each([2, 9])('scaled down to about those of %i tiles, weights add up to one', maxTiles => {
    const { pinpoints, tile, patches, sizes } = SETS.onevision!;
    const vision = { imageSize: tile, patchSize: Math.floor(tile / patches) };
    for (const [width, height] of sizes.slice(0, 80)) {
      const config = { ...anyres(), vision, anyres: { pinpoints, maxTiles } };
      const layout = imageLayout(config, { width: width!, height: height! });
      const features = new Float32Array(layout.tiles * layout.featuresPerTile).fill(3);
      const rows = arrangeFeatures(layout, features, 1, Float32Array.of(-1));
      expect(rows.length).toBe(layout.tokenCount);
      expect(layout.tokenCount).toBeLessThan((1 + 1.25 * maxTiles) * layout.featuresPerTile);
      const newlines = new Set(newlinePositions(layout));
      const isRight = rows.every((value, i) => (newlines.has(i) ? value === -1 : Math.abs(value - 3) < 1e-5));
      expect(isRight, `${width} × ${height}`).toBe(true);
    }
  });
});

describe('one square tile', () => {
  test.each([
    ['clip-vit-large-patch14', 'patch', 256],
    ['clip-vit-large-patch14-336', 'patch', 576],
    ['clip-vit-large-patch14-336', 'cls_patch', 577],
  ])('%s, %s: %i tokens', (tower, mm_vision_select_feature, tokens) => {
    const json = { model_type: 'llava', mm_vision_tower: `openai/${tower}`, mm_vision_select_feature };
    const config = parseModelConfig(json, 'config.json') as LlavaConfig;
    const layout = imageLayout(config, { width: 640, height: 480 });
    expect(layout).toMatchObject({ tiles: 1, grid: undefined, tokenCount: tokens });
    expect([...featureRows(layout)!]).toEqual(Array.from({ length: tokens }, (_, i) => i));
    expect(maxImageTokens(config)).toBe(tokens);
  });
});

test('the largest picture of the released 1.6 models takes 2928 tokens', () => {
  expect(maxImageTokens(anyres())).toBe(2928);
});
