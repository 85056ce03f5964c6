/** @file Cases of the elementwise ops. */

import * as g from '../../../../src/graph/index.ts';
import * as r from '../reference.ts';
import {
  B,
  bools,
  casesOf,
  coarse,
  type Draw,
  f32,
  integers,
  nonZero,
  type OpCase,
  type Operand,
  positive,
  T,
  withType,
} from './case.ts';

function unary(op: string, apply: (x: g.Value) => g.Value, f: (x: number) => number, draw: Draw = f32): OpCase[] {
  const row = (title: string, x: Operand) => [title, [x], apply, r.unary(f)] as const;
  return casesOf(
    op,
    row('matrix', draw(2, 3)),
    row('scalar', draw()),
    row('named sizes', draw(B, T)),
    row('empty', draw(0, 3)),
  );
}

type Binary = (a: g.Value, b: g.Value) => g.Value;

function binary(
  op: string,
  apply: Binary,
  f: (a: number, b: number) => number,
  left: Draw = f32,
  right = left,
): OpCase[] {
  const row = (title: string, a: readonly g.Dim[], b: readonly g.Dim[]) =>
    [title, [left(...a), right(...b)], apply, r.binary(f)] as const;
  return casesOf(
    op,
    row('same shape', [2, 3], [2, 3]),
    row('both broadcast', [2, 1], [3]),
    row('scalar and matrix', [], [2, 3]),
    row('higher rank and scalar', [2, 1, 3], []),
    row('named sizes', [B, T], [T]),
    row('named sizes broadcast', [B, 1], [1, T]),
    row('empty', [0, 3], [1, 3]),
  );
}

const flag = (f: (a: number, b: number) => boolean) => (a: number, b: number) => Number(f(a, b));

/** A value beside a number, on either side. */
const numbers: OpCase[] = [
  ...casesOf('sub', ['number first', [f32(2, 3)], x => g.sub(1.5, x), r.unary(x => 1.5 - x)]),
  ...casesOf('mul', ['number last', [f32(2, 3)], x => g.mul(x, -2), r.unary(x => -2 * x)]),
  ...casesOf('less', ['integers', [integers(3, 2, 3), integers(3, 3)], g.less, r.binary(flag((a, b) => a < b))]),
  ...casesOf('equal', ['bools', [bools(2, 3), bools(3)], g.equal, r.binary(flag((a, b) => a === b))]),
  ...casesOf('mul', ['f16 and a number', [withType('f16', integers(5, 3))], x => g.mul(x, 0.5), r.unary(x => x / 2)]),
  ...casesOf('add', ['integers', [integers(9, B), integers(9)], g.add, r.binary((a, b) => a + b)]),
];

const where: OpCase[] = casesOf(
  'where',
  ['same shape', [bools(2, 3), f32(2, 3), f32(2, 3)], g.where, r.where],
  ['all broadcast', [bools(2, 1, 1), f32(3, 1), f32(4)], g.where, r.where],
  ['named sizes', [bools(1, T), f32(B, 1), f32()], g.where, r.where],
  ['number', [bools(2, 3), f32(3)], (c, x) => g.where(c, x, 0), (c, x) => r.where(c, x, r.fill(0, []))],
  ['number first', [bools(2), f32(2)], (c, x) => g.where(c, -1, x), (c, x) => r.where(c, r.fill(-1, []), x)],
);

const same = (x: number) => x;
const cast: OpCase[] = casesOf(
  'cast',
  ['to f64', [f32(B, 2)], x => g.cast(x, 'f64'), r.unary(same)],
  ['integers to f32', [integers(9, 2, 3)], x => g.cast(x, 'f32'), r.unary(same)],
  ['bools to f32', [bools(2, 3)], x => g.cast(x, 'f32'), r.unary(same)],
  ['to integers', [coarse(2, 3)], x => g.cast(x, 'i64'), r.unary(same)],
  ['to i32', [coarse(3)], x => g.cast(x, 'i32'), r.unary(same)],
  ['to f16', [coarse(3)], x => g.cast(x, 'f16'), r.unary(same)],
  ['to bf16', [coarse(3)], x => g.cast(x, 'bf16'), r.unary(same)],
  ['from f16', [withType('f16', integers(5, 3))], x => g.cast(x, 'f32'), r.unary(same)],
);

export const ELEMENTWISE: readonly OpCase[] = [
  ...unary('neg', g.neg, x => -x),
  ...unary('exp', g.exp, Math.exp),
  ...unary('log', g.log, Math.log, positive),
  ...unary('sqrt', g.sqrt, Math.sqrt, positive),
  ...unary('reciprocal', g.reciprocal, x => 1 / x, nonZero),
  ...unary('tanh', g.tanh, Math.tanh),
  ...unary('sigmoid', g.sigmoid, r.sigmoid),
  ...unary('erf', g.erf, r.erf),
  ...unary('sin', g.sin, Math.sin),
  ...unary('cos', g.cos, Math.cos),
  ...unary('abs', g.abs, Math.abs, nonZero),
  ...binary('add', g.add, (a, b) => a + b),
  ...binary('sub', g.sub, (a, b) => a - b),
  ...binary('mul', g.mul, (a, b) => a * b),
  ...binary('div', g.div, (a, b) => a / b, f32, nonZero),
  ...binary('pow', g.pow, (a, b) => a ** b, positive, f32),
  ...binary('maximum', g.maximum, Math.max),
  ...binary('minimum', g.minimum, Math.min),
  ...binary(
    'less',
    g.less,
    flag((a, b) => a < b),
    coarse,
  ),
  ...binary(
    'lessOrEqual',
    g.lessOrEqual,
    flag((a, b) => a <= b),
    coarse,
  ),
  ...binary(
    'equal',
    g.equal,
    flag((a, b) => a === b),
    coarse,
  ),
  ...numbers,
  ...where,
  ...cast,
];
