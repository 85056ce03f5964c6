/**
 * @file The features of a picture's tiles → the rows that stand in its positions, on host memory: what {@link featureRows}
 * says for a graph, and the scaling that is no copying of rows. Shapes: P features a tile, D width.
 */

import { assert } from '../core/index.ts';
import { featureRows, type ImageLayout, NEWLINE_ROW, patchRow, type TileGrid } from './image-layout.ts';

/**
 * Rows of the picture's positions, [tokens, D]; the input itself where nothing moves.
 * @param features [tiles, P, D]
 * @param newline [D], of a model that has it
 */
export function arrangeFeatures(
  layout: ImageLayout,
  features: Float32Array,
  width: number,
  newline: Float32Array | undefined,
): Float32Array {
  const { grid, tokenCount } = layout;
  if (!grid) return features;
  const out = new Float32Array(tokenCount * width);
  const copy = (to: number, row: number): void => {
    if (row === NEWLINE_ROW) assert(newline, 'a grid of tiles without a newline vector');
    out.set(row === NEWLINE_ROW ? newline! : features.subarray(row * width, (row + 1) * width), to * width);
  };
  const rows = featureRows(layout);
  if (rows) {
    for (const [position, row] of rows.entries()) copy(position, row);
    return out;
  }
  for (let row = 0; row < layout.baseRows; row++) copy(row, row);
  let at = layout.baseRows;
  const { reduced } = grid;
  for (let y = 0; y < reduced!.height; y++) {
    for (let x = 0; x < reduced!.width; x++) {
      const target = out.subarray(at * width, (at + 1) * width);
      at++;
      if (reduced!.by === 'maximum') largest(target, features, cornerRows(layout, x, y));
      else weightedSum(target, features, bilinearTaps(layout, grid, x, y));
    }
    if (layout.newline) copy(at++, NEWLINE_ROW);
  }
  return out;
}

/** Rows of the 2 × 2 patches that become the one at (x, y). */
function cornerRows(layout: ImageLayout, x: number, y: number): number[] {
  return [0, 1, 2, 3].map(i => patchRow(layout, 2 * x + (i % 2), 2 * y + (i >> 1)));
}

function largest(target: Float32Array, features: Float32Array, rows: readonly number[]): void {
  target.fill(Number.NEGATIVE_INFINITY);
  for (const row of rows) {
    const begin = row * target.length;
    for (let i = 0; i < target.length; i++) target[i] = Math.max(target[i]!, features[begin + i]!);
  }
}

type Tap = readonly [row: number, weight: number];

/** The four patches around the place of (x, y) in the kept part, weighed by nearness; borders repeat. */
function bilinearTaps(layout: ImageLayout, { kept, reduced }: TileGrid, x: number, y: number): Tap[] {
  const across = axisTaps(x, kept.width, reduced!.width);
  const down = axisTaps(y, kept.height, reduced!.height);
  return down.flatMap(([row, a]) =>
    across.map(([column, b]): Tap => [patchRow(layout, kept.left + column, kept.top + row), a * b]),
  );
}

/** Output i of `size` samples from `from`, centres aligned. */
function axisTaps(i: number, from: number, size: number): readonly [number, number][] {
  const place = Math.max(0, (i + 0.5) * (from / size) - 0.5);
  const low = Math.min(Math.floor(place), from - 1);
  return [
    [low, 1 - (place - low)],
    [Math.min(low + 1, from - 1), place - low],
  ];
}

function weightedSum(target: Float32Array, features: Float32Array, taps: readonly Tap[]): void {
  for (const [row, weight] of taps) {
    const begin = row * target.length;
    for (let i = 0; i < target.length; i++) target[i]! += weight * features[begin + i]!;
  }
}
