/** @file The product of two thin matrices, for merging adapters. */

/** Columns of B that one pass over a row takes together: fewer loads and stores for the same sums. */
const TOGETHER = 4;

/** Sizes of {@link addProduct}. */
interface ProductSizes {
  readonly rank: number;
  readonly columns: number;
  readonly scale: number;
}

/**
 * `target += scale · b · a` in place, summed in f64.
 * @param target [rows, columns]
 * @param b [rows, rank]
 * @param a [rank, columns]
 */
export function addProduct(target: Float32Array, b: Float32Array, a: Float32Array, sizes: ProductSizes): void {
  const { rank, columns, scale } = sizes;
  const rows = columns === 0 ? 0 : target.length / columns;
  const sums = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    let k = 0;
    for (; k + TOGETHER <= rank; k += TOGETHER) addFourRows(sums, b, row * rank + k, a, k * columns);
    for (; k < rank; k++) addRow(sums, b[row * rank + k]!, a, k * columns);
    for (let i = 0; i < columns; i++) target[row * columns + i] = target[row * columns + i]! + scale * sums[i]!;
  }
}

function addFourRows(sums: Float64Array, b: Float32Array, at: number, a: Float32Array, start: number): void {
  const columns = sums.length;
  const [b0, b1, b2, b3] = [b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!];
  const [second, third, fourth] = [start + columns, start + 2 * columns, start + 3 * columns];
  for (let i = 0; i < columns; i++) {
    sums[i] = sums[i]! + b0 * a[start + i]! + b1 * a[second + i]! + b2 * a[third + i]! + b3 * a[fourth + i]!;
  }
}

function addRow(sums: Float64Array, factor: number, a: Float32Array, start: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + factor * a[start + i]!;
}
