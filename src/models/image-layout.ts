/**
 * @file The one owner of "how many image tokens, in which order". Processor, engine and trainer all ask here.
 *
 * LLaVA v1 and v1.5: one square tile, its patches in row-major order, preceded by the class token where it is kept.
 * LLaVA-1.6 / NeXT: the base image (the whole picture made square), then the tiles of the grid that suits the picture best.
 * Facts: `select_best_resolution`, `unpad_image` and the merging code of the original repositories and of `transformers`,
 * which differ as {@link Compat} says. Shapes: g patches a side of a tile, P features of a tile, D width.
 */

import { type Compat, type LlavaConfig, patchesPerSide as patchesOfSide } from './config/index.ts';

/** A picture's size in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** A rectangle of feature rows in the grid's picture of patches. */
export interface PatchRect extends ImageSize {
  readonly left: number;
  readonly top: number;
}

/** What the layout of a picture depends on. */
export interface LayoutConfig extends Pick<LlavaConfig, 'visionFeatureSelect' | 'anyres' | 'merge' | 'compat'> {
  readonly vision: Pick<LlavaConfig['vision'], 'imageSize' | 'patchSize'>;
}

/** The grid of tiles that a picture is put on. */
export interface TileGrid {
  readonly columns: number;
  readonly rows: number;
  /** The canvas in pixels: columns and rows times the side of a tile. */
  readonly canvas: ImageSize;
  /** Patches of the canvas that become tokens. */
  readonly kept: PatchRect;
  /** What the kept patches are scaled to, and how: `anyres_max_N`, `maxpool2x2`. */
  readonly reduced: (ImageSize & { readonly by: 'bilinear' | 'maximum' }) | undefined;
}

/** How one picture becomes tiles, and their features a run of tokens. */
export interface ImageLayout {
  /** Pictures that the vision tower reads: the base image (or the only one) first, then the grid's, row by row. */
  readonly tiles: number;
  /** Absent for one square tile. */
  readonly grid: TileGrid | undefined;
  /** Positions that the picture takes in the language model's input. */
  readonly tokenCount: number;
  /** P */
  readonly featuresPerTile: number;
  /** g */
  readonly patchesPerSide: number;
  /** Feature rows of the base image that come first: P or 0. */
  readonly baseRows: number;
  /** Whether the grid's tiles form one picture, read row by row; else tile after tile. */
  readonly spatial: boolean;
  /** Whether the learned vector `image_newline` ends each row of the grid. */
  readonly newline: boolean;
}

/** The layout of a picture of `size` in a model of `config`. */
export function imageLayout(config: LayoutConfig, size: ImageSize): ImageLayout {
  const { anyres, merge, compat, vision } = config;
  const patchesPerSide = patchesOfSide(vision);
  const featuresPerTile = patchesPerSide ** 2 + (config.visionFeatureSelect === 'cls_patch' ? 1 : 0);
  const one = { featuresPerTile, patchesPerSide, spatial: false, newline: false };
  if (!anyres) return { ...one, tiles: 1, grid: undefined, tokenCount: featuresPerTile, baseRows: featuresPerTile };
  const canvas = bestCanvas(
    anyres.pinpoints.map(pair => canvasOf(pair, compat)),
    size,
  );
  const [columns, rows] = [canvas.width / vision.imageSize, canvas.height / vision.imageSize];
  const tiles = 1 + columns * rows;
  const whole = { left: 0, top: 0, width: columns * patchesPerSide, height: rows * patchesPerSide };
  const isCut = merge.spatial && merge.unpad && !merge.maxPool;
  const kept = isCut ? unpaddedPart(whole, size, compat) : whole;
  const reduced = reductionOf(config, kept, patchesPerSide);
  const baseRows = merge.base ? featuresPerTile : 0;
  const { width, height } = reduced ?? kept;
  const gridTokens = merge.spatial ? height * (width + (isCut ? 1 : 0)) : columns * rows * featuresPerTile;
  return {
    ...one,
    tiles,
    grid: { columns, rows, canvas, kept, reduced },
    tokenCount: baseRows + gridTokens,
    baseRows,
    spatial: merge.spatial,
    newline: isCut,
  };
}

/** The most positions that a picture takes, whatever its size: that of a picture which fills its canvas. */
export function maxImageTokens(config: LayoutConfig): number {
  const { anyres, compat, vision } = config;
  const tile = { width: vision.imageSize, height: vision.imageSize };
  const sizes = anyres?.pinpoints.map(pair => canvasOf(pair, compat)) ?? [tile];
  return Math.max(...sizes.map(size => imageLayout(config, size).tokenCount));
}

/** The original reads a pair as (width, height), `transformers` as (height, width). */
function canvasOf([first, second]: readonly [number, number], compat: Compat): ImageSize {
  return compat === 'original' ? { width: first, height: second } : { width: second, height: first };
}

/**
 * The canvas that shows most of the picture's pixels, at most as many as it has, and of those the smallest; the first of
 * equals.
 */
function bestCanvas(canvases: readonly ImageSize[], { width, height }: ImageSize): ImageSize {
  let best = canvases[0]!;
  let [most, least] = [-1, 0];
  for (const canvas of canvases) {
    const scale = Math.min(canvas.width / width, canvas.height / height);
    const shown = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    const wasted = canvas.width * canvas.height - shown;
    if (shown < most || (shown === most && wasted >= least)) continue;
    [best, most, least] = [canvas, shown, wasted];
  }
  return best;
}

/** The part of the canvas that the picture covers; with an odd rest one row or column of padding stays. */
function unpaddedPart(whole: PatchRect, size: ImageSize, compat: Compat): PatchRect {
  const truncate = (value: number) => Math.trunc(compat === 'hf' ? Number(value.toFixed(7)) : value);
  if (size.width / size.height > whole.width / whole.height) {
    const top = Math.floor((whole.height - truncate(size.height * (whole.width / size.width))) / 2);
    return { ...whole, top, height: whole.height - 2 * top };
  }
  const left = Math.floor((whole.width - truncate(size.width * (whole.height / size.height))) / 2);
  return { ...whole, left, width: whole.width - 2 * left };
}

function reductionOf({ merge, anyres }: LayoutConfig, kept: PatchRect, patchesPerSide: number): TileGrid['reduced'] {
  const { width, height } = kept;
  if (!merge.spatial) return undefined;
  if (merge.maxPool) return { width: Math.floor(width / 2), height: Math.floor(height / 2), by: 'maximum' };
  if (!merge.unpad || anyres?.maxTiles === undefined) return undefined;
  const times = Math.sqrt((width * height) / (anyres.maxTiles * patchesPerSide ** 2));
  if (times <= 1.1) return undefined;
  // How often it fits in, exactly, which is less than the rounded quotient where that is a whole number by rounding only.
  const part = (side: number) => Math.round((side - (side % times)) / times);
  return { width: part(width), height: part(height), by: 'bilinear' };
}

/** Stands in {@link featureRows} for the learned vector that ends a row. */
export const NEWLINE_ROW = -1;

/**
 * Where each of a picture's positions takes its features from: row tile·P + p of its tiles' features, or
 * {@link NEWLINE_ROW}. Undefined where rows are scaled down, so that positions are no copies of rows.
 */
export function featureRows(layout: ImageLayout): Int32Array | undefined {
  const { grid, baseRows, featuresPerTile, tokenCount } = layout;
  const rows = new Int32Array(tokenCount);
  for (let i = 0; i < baseRows; i++) rows[i] = i;
  if (!grid) return rows;
  if (grid.reduced) return undefined;
  if (!layout.spatial) {
    for (let i = baseRows; i < tokenCount; i++) rows[i] = featuresPerTile + i - baseRows;
    return rows;
  }
  let at = baseRows;
  const { left, top, width, height } = grid.kept;
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) rows[at++] = patchRow(layout, x, y);
    if (layout.newline) rows[at++] = NEWLINE_ROW;
  }
  return rows;
}

/** Row of the features of the patch at (x, y) of the canvas. */
export function patchRow({ grid, patchesPerSide: g, featuresPerTile }: ImageLayout, x: number, y: number): number {
  const tile = 1 + Math.floor(y / g) * grid!.columns + Math.floor(x / g);
  return tile * featuresPerTile + (y % g) * g + (x % g);
}

/** Positions within the picture's run that hold the newline vector. */
export function newlinePositions({ grid, baseRows, newline }: ImageLayout): number[] {
  if (!grid || !newline) return [];
  const { width, height } = grid.reduced ?? grid.kept;
  return Array.from({ length: height }, (_, y) => baseRows + (y + 1) * (width + 1) - 1);
}
