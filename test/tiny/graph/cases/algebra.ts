/** @file Cases of matrix products, reductions and neural-network ops. */

import * as g from '../../../../src/graph/index.ts';
import type { Nd } from '../nd.ts';
import * as r from '../reference.ts';
import {
  B,
  casesOf,
  coarse,
  f32,
  integers,
  NON_EMPTY,
  type OpCase,
  type Operand,
  repeated,
  type Sizes,
  T,
  withType,
} from './case.ts';

type Dims = readonly g.Dim[];

function product(title: string, a: Dims, b: Dims, flags: r.MatMulFlags = {}, sizes?: readonly Sizes[]) {
  const apply = (x: g.Value, y: g.Value) => g.matMul(x, y, flags);
  return [title, [f32(...a), f32(...b)], apply, (x: Nd, y: Nd) => r.matMul(x, y, flags), sizes] as const;
}

const A = { transA: true };
const BT = { transB: true };
const BOTH = { transA: true, transB: true, alpha: -2 };

const matMul = casesOf(
  'matMul',
  product('plain', [2, 3], [3, 4]),
  product('factor', [2, 3], [3, 4], { alpha: 0.5 }),
  product('A transposed', [3, 2], [3, 4], A),
  product('B transposed', [2, 3], [4, 3], BT),
  product('both transposed', [3, 2], [4, 3], BOTH),
  product('weight of all rows', [B, T, 3], [3, 4]),
  product('weight of all rows, transposed', [B, T, 3], [4, 3], BT),
  product('batch of A transposed, shared B', [2, 3, 4], [3, 5], A),
  product('shared A', [3, 2], [4, 2, 5]),
  product('shared A, transposed', [2, 3], [4, 2, 5], A),
  product('batches', [B, 2, T, 3], [B, 2, 3, 4], {}, NON_EMPTY),
  product('scores of heads', [B, 2, T, 3], [B, 2, T, 3], { transB: true, alpha: 0.25 }),
  product('batches, both transposed', [2, 3, 4], [2, 5, 3], BOTH),
  product('batches broadcast', [2, 1, 2, 3], [4, 3, 2]),
  product('batches broadcast, both transposed', [2, 1, 3, 2], [4, 2, 3], BOTH),
  product('no rows', [0, 3], [3, 4]),
);

type Reduction = (x: g.Value, axes: readonly number[], keepDims?: boolean) => g.Value;

function reduction(op: string, apply: Reduction, f: (values: number[]) => number): OpCase[] {
  const row = (title: string, x: Dims, axes: readonly number[], keepDims = false) =>
    [
      title,
      [f32(...x)],
      (v: g.Value) => apply(v, axes, keepDims),
      (v: Nd) =>
        r.reduce(
          v,
          axes.map(a => (a < 0 ? a + x.length : a)),
          keepDims,
          f,
        ),
    ] as const;
  return casesOf(
    op,
    row('one axis', [2, 3], [1]),
    row('negative axis, kept', [2, 3], [-2], true),
    row('two axes', [2, 3, 4], [0, 2]),
    row('all axes', [2, 3], [0, 1]),
    row('no axis', [2, 3], []),
    row('scalar', [], []),
    row('named sizes, one of them', [B, 2, T], [0]),
    row('nothing left to reduce to', [2, 0, 3], [-1]),
  );
}

const reductions = [
  ...reduction('reduceSum', g.reduceSum, r.reduceSum),
  ...reduction('reduceMean', g.reduceMean, r.reduceMean),
  ...reduction('reduceMax', g.reduceMax, r.reduceMax),
  ...reduction('reduceSumSquare', g.reduceSumSquare, r.reduceSumSquare),
  ...casesOf(
    'reduceSum',
    ['over nothing is 0', [f32(2, 0)], x => g.reduceSum(x, [1]), x => r.reduce(x, [1], false, r.reduceSum)],
    ['integers', [integers(9, 2, 3)], x => g.reduceSum(x, [0]), x => r.reduce(x, [0], false, r.reduceSum)],
    ['named sizes', [f32(B, T)], x => g.reduceSum(x, [0, 1]), x => r.reduce(x, [0, 1], false, r.reduceSum)],
  ),
  ...casesOf('reduceMean', [
    'named sizes',
    [f32(B, T)],
    x => g.reduceMean(x, [0, 1]),
    x => r.reduce(x, [0, 1], false, r.reduceMean),
    NON_EMPTY,
  ]),
  ...casesOf(
    'argMax',
    ['first of equal ones', [coarse(4, 6)], x => g.argMax(x, 1), x => r.argMax(x, 1)],
    ['negative axis', [f32(3, B)], x => g.argMax(x, -2), x => r.argMax(x, 0)],
    ['vector', [f32(5)], x => g.argMax(x, 0), x => r.argMax(x, 0)],
  ),
];

/** Ops over the last axis without further operands. */
function rowwise(op: string, apply: (x: g.Value) => g.Value, reference: (x: Nd) => Nd): OpCase[] {
  return casesOf(
    op,
    ['rows', [f32(2, 3)], apply, reference],
    ['vector', [f32(4)], apply, reference],
    ['named sizes', [f32(B, T, 3)], apply, reference],
    ['named last axis', [f32(B, T)], apply, reference, NON_EMPTY],
  );
}

const EPSILON = 1e-3;
const quickGelu = (x: number) => x * r.sigmoid(1.702 * x);

const network = [
  ...rowwise('softmax', g.softmax, r.softmax),
  ...rowwise('logSoftmax', g.logSoftmax, r.logSoftmax),
  ...rowwise('gelu', g.gelu, r.unary(r.gelu)),
  ...rowwise('geluTanh', g.geluTanh, r.unary(r.geluTanh)),
  ...rowwise('quickGelu', x => g.quickGelu(x, 1.702), r.unary(quickGelu)),
  ...casesOf('quickGelu', ['SiLU', [f32(5)], x => g.quickGelu(x, 1), r.unary(x => x * r.sigmoid(x))]),
  ...casesOf('softmax', [
    'huge numbers',
    [repeated('f32', 1000, 2, 4)],
    x => g.softmax(x),
    x => r.unary(() => 0.25)(x),
  ]),
  ...casesOf(
    'crossEntropy',
    ['numbers', [f32(3, 5), integers(5, 3)], g.crossEntropy, r.crossEntropy],
    [
      'named sizes',
      [f32(g.mulDims(B, T), 4), integers(4, g.mulDims(B, T)), f32(B), f32(T)],
      g.crossEntropy,
      r.crossEntropy,
      NON_EMPTY,
    ],
  ),
  ...casesOf(
    'layerNorm',
    ['rows', [f32(2, 4), f32(4), f32(4)], layerNorm, (x, w, b) => r.layerNorm(x, w, b, EPSILON)],
    ['named sizes', [f32(B, T, 3), f32(3), f32(3)], layerNorm, (x, w, b) => r.layerNorm(x, w, b, EPSILON)],
  ),
  ...casesOf(
    'rmsNorm',
    ['rows', [f32(2, 4), f32(4)], (x, w) => g.rmsNorm(x, w, EPSILON), (x, w) => r.rmsNorm(x, w, EPSILON)],
    ['named sizes', [f32(B, T, 3), f32(3)], (x, w) => g.rmsNorm(x, w, EPSILON), (x, w) => r.rmsNorm(x, w, EPSILON)],
  ),
];

function layerNorm(x: g.Value, weight: g.Value, bias: g.Value): g.Value {
  return g.layerNorm(x, weight, bias, EPSILON);
}

const constantTable = (...shape: g.Dim[]): Operand => withType('f32', f32(...shape));

const rotary = casesOf(
  'rotaryEmbedding',
  [
    'rows at other positions',
    [f32(2, 3, 4, 8), integers(6, 2, 4), constantTable(6, 4), constantTable(6, 4)],
    g.rotaryEmbedding,
    r.rotary,
  ],
  [
    'named sizes',
    [f32(B, 2, T, 16), integers(8, B, T), constantTable(8, 8), constantTable(8, 8)],
    g.rotaryEmbedding,
    r.rotary,
    NON_EMPTY,
  ],
);

export const ALGEBRA: readonly OpCase[] = [...matMul, ...reductions, ...network, ...rotary];
