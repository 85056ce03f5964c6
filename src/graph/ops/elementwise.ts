/**
 * @file Elementwise ops. Binary ops broadcast as NumPy does; their gradients are summed back to each operand's shape.
 * At ties max and min give the gradient to the first operand; |x| has gradient 0 at 0.
 */

import { assert, type DType, isFloat } from '../../core/index.ts';
import { type Shape, sameDim } from '../dim.ts';
import { defineOp, expectOperands, type GradOps, type OpRecord } from '../op.ts';
import { scalar, type TensorType, type Value } from '../value.ts';

/** A value, or a number that becomes a constant scalar of the other operand's type. */
export type Operand = Value | number;

/** ONNX type numbers (TensorProto.DataType), for Cast. */
export const ONNX_DTYPE: { readonly [K in DType]: number } = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
  bf16: 16,
};

/** Shape of `a op b` by NumPy's rule; undefined where the two do not broadcast. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out = [];
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left !== 1 && right !== 1 && !sameDim(left, right)) return undefined;
    out.push(left === 1 ? right : left);
  }
  return out;
}

function lift(a: Operand, b: Operand): [Value, Value] {
  if (typeof a !== 'number') return [a, typeof b === 'number' ? scalar(b, a.dtype) : b];
  assert(typeof b !== 'number', `operands: expected a value beside a number, got ${a} and ${b}`);
  return [scalar(a, b.dtype), b];
}

type UnaryGrad = (g: GradOps, x: Value, y: Value, dy: Value) => Value;

function unary(name: string, onnx: string, formula: string, derivative: UnaryGrad) {
  const apply = defineOp<object>({
    name,
    formula,
    infer: ([x]) => {
      expectOperands(isFloat(x!.dtype), name, 'a float tensor', [x!]);
      return [x!].map(({ dtype, shape }) => ({ dtype, shape }));
    },
    grad: (g, { inputs, outputs, gradOutputs }) => [derivative(g, inputs[0]!, outputs[0]!, gradOutputs[0]!)],
    emit: c => void c.node(onnx, c.inputs, { outputs: c.outputs }),
  });
  return (x: Value): Value => apply([x], {})[0]!;
}

export const neg = unary('neg', 'Neg', '−x', (g, _x, _y, dy) => g.neg(dy));
export const exp = unary('exp', 'Exp', 'eˣ; dx = dy·y', (g, _x, y, dy) => g.mul(dy, y));
export const log = unary('log', 'Log', 'ln x; dx = dy/x', (g, x, _y, dy) => g.div(dy, x));
export const sqrt = unary('sqrt', 'Sqrt', '√x; dx = dy/(2y)', (g, _x, y, dy) => g.div(dy, g.mul(y, 2)));
export const reciprocal = unary('reciprocal', 'Reciprocal', '1/x; dx = −dy·y²', (g, _x, y, dy) =>
  g.neg(g.mul(dy, g.mul(y, y))),
);
export const tanh = unary('tanh', 'Tanh', 'tanh x; dx = dy·(1−y²)', (g, _x, y, dy) => g.mul(dy, g.sub(1, g.mul(y, y))));
export const sigmoid = unary('sigmoid', 'Sigmoid', 'σ(x); dx = dy·y·(1−y)', (g, _x, y, dy) =>
  g.mul(dy, g.mul(y, g.sub(1, y))),
);
export const erf = unary('erf', 'Erf', 'erf x; dx = dy·(2/√π)·e^(−x²)', (g, x, _y, dy) =>
  g.mul(dy, g.mul(g.exp(g.neg(g.mul(x, x))), 2 / Math.sqrt(Math.PI))),
);
export const sin = unary('sin', 'Sin', 'sin x; dx = dy·cos x', (g, x, _y, dy) => g.mul(dy, g.cos(x)));
export const cos = unary('cos', 'Cos', 'cos x; dx = −dy·sin x', (g, x, _y, dy) => g.neg(g.mul(dy, g.sin(x))));
export const abs = unary('abs', 'Abs', '|x|; dx = dy·sign x', (g, x, _y, dy) =>
  g.where(g.less(x, 0), g.neg(dy), g.where(g.less(0, x), dy, 0)),
);

function inferBinary(name: string, inputs: readonly TensorType[], dtype?: DType): readonly TensorType[] {
  const [a, b] = inputs as [TensorType, TensorType];
  const shape = broadcastShapes(a.shape, b.shape);
  expectOperands(a.dtype === b.dtype && shape !== undefined, name, 'one dtype and broadcastable shapes', inputs);
  return [{ dtype: dtype ?? a.dtype, shape }];
}

type BinaryGrad = (g: GradOps, a: Value, b: Value, dy: Value, y: Value) => readonly [Value, Value];

function binary(
  name: string,
  onnx: string,
  formula: string,
  derivative: BinaryGrad | 'not differentiable',
  out?: DType,
) {
  const grad: OpRecord['grad'] =
    derivative === 'not differentiable'
      ? derivative
      : (g, { inputs, outputs, gradOutputs }) => {
          const [a, b] = inputs as [Value, Value];
          const [da, db] = derivative(g, a, b, gradOutputs[0]!, outputs[0]!);
          return [g.sumTo(da, a.shape), g.sumTo(db, b.shape)];
        };
  const apply = defineOp<object>({
    name,
    formula,
    infer: inputs => inferBinary(name, inputs, out),
    grad,
    emit: c => void c.node(onnx, c.inputs, { outputs: c.outputs }),
  });
  return (a: Operand, b: Operand): Value => apply(lift(a, b), {})[0]!;
}

export const add = binary('add', 'Add', 'a + b', (_g, _a, _b, dy) => [dy, dy]);
export const sub = binary('sub', 'Sub', 'a − b', (g, _a, _b, dy) => [dy, g.neg(dy)]);
export const mul = binary('mul', 'Mul', 'a·b', (g, a, b, dy) => [g.mul(dy, b), g.mul(dy, a)]);
export const div = binary('div', 'Div', 'a/b; db = −dy·y/b', (g, _a, b, dy, y) => [
  g.div(dy, b),
  g.neg(g.div(g.mul(dy, y), b)),
]);
export const pow = binary('pow', 'Pow', 'aᵇ, a > 0; da = dy·b·aᵇ⁻¹, db = dy·y·ln a', (g, a, b, dy, y) => [
  g.mul(dy, g.mul(b, g.pow(a, g.sub(b, 1)))),
  g.mul(dy, g.mul(y, g.log(a))),
]);
export const maximum = binary('maximum', 'Max', 'max(a, b)', (g, a, b, dy) => {
  const second = g.less(a, b);
  return [g.where(second, 0, dy), g.where(second, dy, 0)];
});
export const minimum = binary('minimum', 'Min', 'min(a, b)', (g, a, b, dy) => {
  const second = g.less(b, a);
  return [g.where(second, 0, dy), g.where(second, dy, 0)];
});
export const less = binary('less', 'Less', 'a < b', 'not differentiable', 'bool');
export const lessOrEqual = binary('lessOrEqual', 'LessOrEqual', 'a ≤ b', 'not differentiable', 'bool');
export const equal = binary('equal', 'Equal', 'a = b', 'not differentiable', 'bool');

const applyWhere = defineOp<object>({
  name: 'where',
  formula: 'c ? a : b',
  infer: inputs => {
    const [condition, a, b] = inputs as [TensorType, TensorType, TensorType];
    const [branch] = inferBinary('where', [a, b]);
    const shape = broadcastShapes(condition.shape, branch!.shape);
    expectOperands(condition.dtype === 'bool' && shape !== undefined, 'where', 'a bool condition that fits', inputs);
    return [{ dtype: a.dtype, shape }];
  },
  grad: (g, { inputs, gradOutputs }) => {
    const [condition, a, b] = inputs as [Value, Value, Value];
    const dy = gradOutputs[0]!;
    return [null, g.sumTo(g.where(condition, dy, 0), a.shape), g.sumTo(g.where(condition, 0, dy), b.shape)];
  },
  emit: c => void c.node('Where', c.inputs, { outputs: c.outputs }),
});

/** `condition ? a : b`, elementwise. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  return applyWhere([condition, ...lift(a, b)], {})[0]!;
}

const applyCast = defineOp<{ readonly dtype: DType }>({
  name: 'cast',
  formula: 'x as another dtype; dx = dy as the first',
  infer: ([x], { dtype }) => [{ dtype, shape: x!.shape }],
  grad: (g, { inputs, gradOutputs }) => [isFloat(inputs[0]!.dtype) ? g.cast(gradOutputs[0]!, inputs[0]!.dtype) : null],
  emit: c => void c.node('Cast', c.inputs, { attributes: { to: ONNX_DTYPE[c.attrs.dtype] }, outputs: c.outputs }),
});

/** `x` with another element type; `x` itself when it has that type. */
export function cast(x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : applyCast([x], { dtype })[0]!;
}
