/** @file f64 arrays addressed by index lists: what the naive references are written in. Slow and obvious on purpose. */

/** Row-major array. */
export interface Nd {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export type Index = readonly number[];

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** All indices of a shape, last axis fastest. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  for (let flat = 0; flat < size(shape); flat++) {
    let rest = flat;
    const index = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    yield index;
  }
}

export function offset(shape: readonly number[], index: Index): number {
  return shape.reduce((flat, length, axis) => flat * length + index[axis]!, 0);
}

/** The array with `f(index)` at each index. */
export function build(shape: readonly number[], f: (index: number[]) => number): Nd {
  const data = new Float64Array(size(shape));
  let flat = 0;
  for (const index of indices(shape)) data[flat++] = f(index);
  return { shape, data };
}

export function get(x: Nd, index: Index): number {
  return x.data[offset(x.shape, index)]!;
}

/** `x` at an index of the shape it is broadcast to: trailing axes align, axes of length 1 repeat. */
export function getBroadcast(x: Nd, index: Index): number {
  const aligned = index.slice(index.length - x.shape.length);
  return get(
    x,
    aligned.map((i, axis) => (x.shape[axis] === 1 ? 0 : i)),
  );
}

/** NumPy's shape of an elementwise result. */
export function broadcast(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map(shape => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const lengths = shapes.map(shape => shape[axis - rank + shape.length] ?? 1);
    return lengths.find(length => length !== 1) ?? 1;
  });
}

/** Applies `f` to each row (the last axis). */
export function mapRows(x: Nd, f: (row: number[]) => readonly number[]): Nd {
  const width = x.shape.at(-1)!;
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += width) data.set(f([...x.data.slice(start, start + width)]), start);
  return { shape: x.shape, data };
}
