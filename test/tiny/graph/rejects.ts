/** @file Applications that each op must refuse when the graph is built. */

import type { DType } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';

const f = (...shape: g.Dim[]): g.Value => g.input('x', 'f32', shape);
const typed = (dtype: DType, ...shape: g.Dim[]): g.Value => g.input('x', dtype, shape);
const ints = (...shape: g.Dim[]): g.Value => typed('i64', ...shape);
const B = g.dim('B');
const T = g.dim('T');

const unary = (apply: (x: g.Value) => g.Value) => [() => apply(ints(2)), () => apply(typed('bool', 2))];
const binary = (apply: (a: g.Value, b: g.Value) => g.Value) => [
  () => apply(f(2, 3), f(2)),
  () => apply(f(B), f(T)),
  () => apply(f(2), ints(2)),
];
const reduction = (apply: (x: g.Value, axes: readonly number[]) => g.Value) => [
  () => apply(f(2, 3), [2]),
  () => apply(f(2, 3), [-3]),
  () => apply(f(2, 3), [0, -2]),
];
const lastAxis = (apply: (x: g.Value) => g.Value) => [() => apply(ints(2)), () => apply(f())];

/** Attention with some operands replaced; `past` is that of keys and of values. */
function attention(changes: Readonly<Record<string, g.Value>>) {
  const { past = f(B, 2, 8, 16), ...rest } = changes;
  const operands = {
    query: f(B, T, 64),
    key: f(B, T, 32),
    value: f(B, T, 32),
    lastPosition: typed('i32', B),
    totalLength: typed('i32'),
    cosTable: f(8, 8),
    sinTable: f(8, 8),
    ...rest,
  };
  const attrs = { numHeads: 4, numKeyValueHeads: 2, slidingWindow: -1 };
  return () => g.groupQueryAttention({ ...operands, past: { key: past, value: past } }, attrs);
}

/** Operands that agree with heads of width 4, which the kernel does not take. */
const NARROW = { query: f(B, T, 16), key: f(B, T, 8), value: f(B, T, 8), cosTable: f(8, 2), sinTable: f(8, 2) };

const rotary =
  (x: g.Value, positions: g.Value, table: g.Value, sin = table) =>
  () =>
    g.rotaryEmbedding(x, positions, table, sin);

/** Op → calls that throw. Only `cast` takes whatever there is. */
export const REJECTS: Readonly<Record<string, readonly (() => unknown)[]>> = {
  neg: unary(g.neg),
  exp: unary(g.exp),
  log: unary(g.log),
  sqrt: unary(g.sqrt),
  reciprocal: unary(g.reciprocal),
  tanh: unary(g.tanh),
  sigmoid: unary(g.sigmoid),
  erf: unary(g.erf),
  sin: unary(g.sin),
  cos: unary(g.cos),
  abs: unary(g.abs),
  add: binary(g.add),
  sub: binary(g.sub),
  mul: binary(g.mul),
  div: binary(g.div),
  pow: binary(g.pow),
  maximum: binary(g.maximum),
  minimum: binary(g.minimum),
  less: binary(g.less),
  lessOrEqual: binary(g.lessOrEqual),
  equal: binary(g.equal),
  where: [
    () => g.where(f(2), f(2), f(2)),
    () => g.where(typed('bool', 3), f(2), f(2)),
    () => g.where(typed('bool', 2), f(2), ints(2)),
  ],
  cast: [],
  reshape: [() => g.reshape(f(2, 3), [4]), () => g.reshape(f(B, T), [B, 2]), () => g.reshape(f(6), [-2, -3])],
  transpose: [() => g.transpose(f(2, 3), [0, 0]), () => g.transpose(f(2, 3), [0]), () => g.transpose(f(2), [1])],
  expand: [
    () => g.expand(f(2), [3]),
    () => g.expand(f(2, 1), [1]),
    () => g.expand(f(2, 3), [1, 3]),
    () => g.expand(f(1), [-1]),
  ],
  slice: [
    () => g.slice(f(4), 1, 0, 1),
    () => g.slice(f(4), 0, 3, 2),
    () => g.slice(f(4), 0, 0, 5),
    () => g.slice(f(4), 0, -2, 4),
    () => g.slice(f(B), 0, 0, g.addDims(B, 1)),
  ],
  pad: [() => g.pad(f(4), 1, 1, 0), () => g.pad(f(4), 0, -1, 0), () => g.pad(f(4), -2, 0, 1)],
  concat: [
    () => g.concat([f(2, 3), f(2, 4)], 0),
    () => g.concat([f(2), f(2, 1)], 1),
    () => g.concat([f(2), ints(2)], 0),
    () => g.concat([f(2), f(2)], 1),
  ],
  range: [() => g.range(-1)],
  fill: [() => g.fill(0, [2, -1])],
  gather: [() => g.gather(f(2, 3), f(2)), () => g.gather(f(2, 3), ints(2), 2), () => g.gather(f(), ints(1))],
  gatherElements: [
    () => g.gatherElements(f(2, 3), ints(2), 0),
    () => g.gatherElements(f(2), f(2), 0),
    () => g.gatherElements(f(2), ints(2), -2),
  ],
  scatterAdd: [
    () => g.scatterAdd(f(2), ints(3), f(2), 0),
    () => g.scatterAdd(f(2), f(2), f(2), 0),
    () => g.scatterAdd(f(2), ints(2), ints(2), 0),
    () => g.scatterAdd(f(2), ints(2, 1), f(2, 1), 0),
    () => g.scatterAdd(f(2), ints(2), f(2), 1),
  ],
  matMul: [
    () => g.matMul(f(2, 3), f(4, 3)),
    () => g.matMul(f(2, 3), f(3, 4), { transB: true }),
    () => g.matMul(f(3), f(3, 2)),
    () => g.matMul(f(2, 3), ints(3, 2)),
    () => g.matMul(f(2, 2, 3), f(3, 3, 2)),
  ],
  reduceSum: reduction(g.reduceSum),
  reduceMean: reduction(g.reduceMean),
  reduceMax: reduction(g.reduceMax),
  reduceSumSquare: reduction(g.reduceSumSquare),
  argMax: [() => g.argMax(f(2), 1), () => g.argMax(f(), 0)],
  softmax: lastAxis(g.softmax),
  logSoftmax: lastAxis(g.logSoftmax),
  crossEntropy: [
    () => g.crossEntropy(f(2, 3), ints(3)),
    () => g.crossEntropy(f(2, 3), f(2)),
    () => g.crossEntropy(f(2), ints(2)),
    () => g.crossEntropy(ints(2, 3), ints(2)),
  ],
  layerNorm: [
    () => g.layerNorm(f(2, 3), f(2), f(3), 1e-5),
    () => g.layerNorm(f(2, 3), f(3), typed('f16', 3), 1e-5),
    () => g.layerNorm(f(), f(), f(), 1e-5),
  ],
  rmsNorm: [
    () => g.rmsNorm(f(2, 3), f(2), 1e-5),
    () => g.rmsNorm(ints(3), ints(3), 1e-5),
    () => g.rmsNorm(f(3), f(1, 3), 1e-5),
  ],
  quickGelu: unary(x => g.quickGelu(x, 1.702)),
  gelu: unary(g.gelu),
  geluTanh: unary(g.geluTanh),
  rotaryEmbedding: [
    rotary(f(2, 3, 8), ints(2, 3), f(5, 4)),
    rotary(f(B, 2, T, 8), ints(B, 1), f(5, 4)),
    rotary(f(B, 2, T, 8), f(B, T), f(5, 4)),
    rotary(f(B, 2, T, 8), ints(B, T), f(5, 8)),
    rotary(f(B, 2, T, 8), ints(B, T), f(5, 4), f(6, 4)),
  ],
  groupQueryAttention: [
    attention({ query: f(B, T, 32) }),
    attention({ query: f(B, 64) }),
    attention({ key: f(B, 1, 32) }),
    attention({ past: f(B, 2, 8, 8) }),
    attention({ ...NARROW, past: f(B, 2, 8, 4) }),
    attention({ past: f(B, 4, 8, 16) }),
    attention({ past: typed('bf16', B, 2, 8, 16) }),
    attention({ past: typed('f16', B, 2, 8, 16), query: typed('f16', B, T, 64) }),
    attention({ lastPosition: ints(B) }),
    attention({ totalLength: typed('i32', 1) }),
    attention({ cosTable: f(8, 16) }),
  ],
  quantizeRows: [() => g.quantizeRows(f(3), 8), () => g.quantizeRows(ints(2, 3), 8)],
  integerMatMul: [
    () => g.integerMatMul(typed('i8', 2, 3), typed('i8', 3, 4), f(4)),
    () => g.integerMatMul(typed('u8', 2, 3), typed('u8', 3, 4), f(4)),
    () => g.integerMatMul(typed('u8', 2, 3), typed('i8', 4, 3), f(3)),
    () => g.integerMatMul(typed('u8', 2, 3), typed('i8', 3, 4), f(3)),
  ],
  blockMatMul: [
    () => blocks(f(2, 32), typed('u8', 5, 1, 32), f(5, 1)),
    () => blocks(f(2, 64), typed('u8', 5, 1, 16), f(5, 1)),
    () => blocks(f(2, 32), typed('u8', 5, 1, 16), f(5, 2)),
    () => blocks(f(2, 32), typed('i8', 5, 1, 16), f(5, 1)),
    () => blocks(f(2, 96), typed('u8', 5, 3, 16), f(5, 3), typed('u8', 5, 1)),
    () => blocks(f(2, 96), typed('u8', 5, 3, 16), f(5, 3), typed('i8', 5, 2)),
  ],
};

function blocks(x: g.Value, packed: g.Value, scale: g.Value, zero?: g.Value): g.Value {
  return g.blockMatMul(x, { packed, scale, ...(zero && { zero }) }, { bits: 4, blockSize: 32 });
}
