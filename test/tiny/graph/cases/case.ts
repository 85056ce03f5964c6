/** @file What a case of the op table is, and operands to write cases with. */

import type { DType, Rng } from '../../../../src/core/index.ts';
import { type Dim, dim, type Shape, type Value } from '../../../../src/graph/index.ts';
import type { Nd } from '../nd.ts';

/** Sizes of the named dimensions in one run. */
export type Sizes = Readonly<Record<string, number>>;

export interface Operand {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly draw: (rng: Rng) => number;
  /** False: no gradient rule in this operand, asking for one is an error. */
  readonly differentiable: boolean;
}

export interface OpCase {
  readonly op: string;
  /** What is special about the case. */
  readonly title: string;
  readonly operands: readonly Operand[];
  /** One application of the op; its first output is compared. */
  readonly apply: (...operands: Value[]) => Value;
  readonly reference: (...operands: Nd[]) => Nd;
  /** One run for each. */
  readonly sizes: readonly Sizes[];
}

export const B = dim('B');
export const T = dim('T');

/** Default runs: named sizes of two and more, of one, and of zero. */
const SIZES: readonly Sizes[] = [
  { B: 2, T: 3 },
  { B: 1, T: 1 },
  { B: 2, T: 0 },
];
export const NON_EMPTY: readonly Sizes[] = [
  { B: 2, T: 3 },
  { B: 1, T: 5 },
];

/** Makes an operand of a shape. */
export type Draw = (...shape: Dim[]) => Operand;

const operand = (dtype: DType, shape: Shape, draw: Operand['draw'], differentiable = dtype === 'f32'): Operand => ({
  dtype,
  shape,
  draw,
  differentiable,
});

/** Normal numbers. */
export const f32 = (...shape: Dim[]): Operand => operand('f32', shape, rng => rng.normal());
/** Numbers of 0.5 … 2. */
export const positive = (...shape: Dim[]): Operand => operand('f32', shape, rng => 0.5 + 1.5 * rng.uniform());
/** Numbers of 0.5 … 2 with either sign. */
export const nonZero = (...shape: Dim[]): Operand =>
  operand('f32', shape, rng => (0.5 + 1.5 * rng.uniform()) * (rng.uniform() < 0.5 ? -1 : 1));
/** One of −1, 0 and 1, so that equal numbers occur; not to be differentiated. */
export const coarse = (...shape: Dim[]): Operand => operand('f32', shape, rng => rng.int(3) - 1, false);
export const integers = (limit: number, ...shape: Dim[]): Operand => operand('i64', shape, rng => rng.int(limit));
/** The same number everywhere. */
export const repeated = (dtype: DType, value: number, ...shape: Dim[]): Operand =>
  operand(dtype, shape, () => value, false);
export const bools = (...shape: Dim[]): Operand => operand('bool', shape, rng => rng.int(2));
export const withType = (dtype: DType, x: Operand, differentiable = false): Operand => ({
  ...x,
  dtype,
  differentiable,
});

/** Cases of one op: each row is [title, operands, apply, reference, sizes?]. */
export function casesOf(
  op: string,
  ...rows: readonly (readonly [
    title: string,
    operands: readonly Operand[],
    apply: OpCase['apply'],
    reference: OpCase['reference'],
    sizes?: readonly Sizes[] | undefined,
  ])[]
): OpCase[] {
  return rows.map(([title, operands, apply, reference, sizes]) => {
    return { op, title, operands, apply, reference, sizes: sizes ?? defaultSizes(operands) };
  });
}

/** One run when no operand has a named size. */
function defaultSizes(operands: readonly Operand[]): readonly Sizes[] {
  return operands.every(({ shape }) => shape.every(d => typeof d === 'number')) ? [{}] : SIZES;
}
