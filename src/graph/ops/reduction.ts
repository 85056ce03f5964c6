/** @file Reductions over axes. At ties reduceMax shares the gradient equally among the maxima. */

import type { Shape } from '../dim.ts';
import { sameDim } from '../dim.ts';
import { defineOp, expectAxis, expectOperands, type GradOps } from '../op.ts';
import type { TensorType, Value } from '../value.ts';
import { cast, div, equal, mul } from './elementwise.ts';
import { expand, reshape, resolveAxis } from './movement.ts';

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

function reducedShape(shape: Shape, { axes, keepDims }: ReduceAttrs): Shape {
  return keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));
}

/** The reduced value with its axes put back as length 1, so that it broadcasts against the input. */
function withKeptAxes(reduced: Value, inputShape: Shape, axes: readonly number[]): Value {
  return reshape(reduced, reducedShape(inputShape, { axes, keepDims: true }));
}

type ReduceGrad = (g: GradOps, x: Value, y: Value, dy: Value, axes: readonly number[]) => Value;

function reduction(name: string, onnx: string, formula: string, derivative: ReduceGrad) {
  const apply = defineOp<ReduceAttrs>({
    name,
    formula,
    infer: (inputs, attrs) => {
      const [x] = inputs as [TensorType];
      for (const axis of attrs.axes) expectAxis(axis, name, inputs);
      expectOperands(new Set(attrs.axes).size === attrs.axes.length, name, `each axis once (${attrs.axes})`, inputs);
      return [{ dtype: x.dtype, shape: reducedShape(x.shape, attrs) }];
    },
    grad: (g, { inputs, outputs, attrs, gradOutputs }) => {
      const [x] = inputs as [Value];
      const dy = withKeptAxes(gradOutputs[0]!, x.shape, attrs.axes);
      const y = withKeptAxes(outputs[0]!, x.shape, attrs.axes);
      return [derivative(g, x, y, dy, attrs.axes)];
    },
    emit: c => {
      const attributes = { keepdims: c.attrs.keepDims ? 1 : 0, noop_with_empty_axes: 1 };
      c.node(onnx, [c.inputs[0]!, c.ints(c.attrs.axes)], { attributes, outputs: c.outputs });
    },
  });
  return (x: Value, axes: readonly number[], keepDims = false): Value => {
    const resolved = axes.map(axis => resolveAxis(axis, x.shape.length));
    return apply([x], { axes: resolved, keepDims })[0]!;
  };
}

export const reduceSum = reduction('reduceSum', 'ReduceSum', 'Σ x; dx = dy', (g, x, _y, dy) => g.expand(dy, x.shape));

export const reduceMean = reduction('reduceMean', 'ReduceMean', 'Σ x / n; dx = dy/n', (g, x, _y, dy, axes) => {
  const ones = g.fill(
    1,
    axes.map(axis => x.shape[axis]!),
  );
  const count = g.reduceSum(
    ones,
    ones.shape.map((_, i) => i),
  );
  return expand(div(dy, count), x.shape);
});

export const reduceMax = reduction(
  'reduceMax',
  'ReduceMax',
  'max x; dx = dy at the maxima, shared',
  (g, x, y, dy, axes) => {
    const hits = cast(equal(x, y), x.dtype);
    return mul(hits, div(dy, g.reduceSum(hits, axes, true)));
  },
);

export const reduceSumSquare = reduction('reduceSumSquare', 'ReduceSumSquare', 'Σ x²; dx = 2·x·dy', (g, x, _y, dy) =>
  g.mul(g.mul(x, 2), dy),
);

const applyArgMax = defineOp<{ readonly axis: number }>({
  name: 'argMax',
  formula: 'index of the first maximum along one axis',
  infer: ([x], { axis }) => {
    expectAxis(axis, 'argMax', [x!]);
    return [{ dtype: 'i64', shape: x!.shape.toSpliced(axis, 1) }];
  },
  grad: 'not differentiable',
  emit: c => void c.node('ArgMax', c.inputs, { attributes: { axis: c.attrs.axis, keepdims: 0 }, outputs: c.outputs }),
});

/** Index of the first maximum along `axis`, which is removed. */
export function argMax(x: Value, axis: number): Value {
  return applyArgMax([x], { axis: resolveAxis(axis, x.shape.length) })[0]!;
}

/** Sums `x` over the axes along which `shape` was broadcast to `x.shape`: the adjoint of broadcasting. */
export function sumTo(x: Value, shape: Shape): Value {
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < extra || !sameDim(d, shape[i - extra]!) ? [i] : []));
  return axes.length === 0 ? x : reshape(reduceSum(x, axes, true), shape);
}
