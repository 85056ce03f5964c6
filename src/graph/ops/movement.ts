/** @file Ops that move elements without computing: reshape, transpose, expand, slice, pad, concat. */

import { assert, type DType } from '../../core/index.ts';
import { addDims, type Dim, formatShape, type Shape, sameDim, sameShape, shapeSize, subDims } from '../dim.ts';
import { defineOp, expectAxis, expectOperands } from '../op.ts';
import type { Value } from '../value.ts';
import { broadcastShapes } from './elementwise.ts';

/** False for what cannot be a size: a negative number. Named sizes are known only when the graph runs. */
function mayBeSize(d: Dim): boolean {
  return typeof d !== 'number' || d >= 0;
}

const applyReshape = defineOp<{ readonly shape: Shape }>({
  name: 'reshape',
  formula: 'same elements in row-major order, another shape',
  infer: ([x], { shape }) => {
    const fits = sameDim(shapeSize(x!.shape), shapeSize(shape)) && shape.every(mayBeSize);
    expectOperands(fits, 'reshape', `the size of ${formatShape(shape)}`, [x!]);
    return [{ dtype: x!.dtype, shape }];
  },
  grad: (g, { inputs, gradOutputs }) => [g.reshape(gradOutputs[0]!, inputs[0]!.shape)],
  emit: c => {
    const { shape } = c.attrs;
    const inferable = isInferable(shape);
    const target = inferable ? c.ints(shape.map(d => (typeof d === 'number' ? d : -1))) : c.dims(shape);
    // Without `allowzero` a size of 0 would stand for the input's size there.
    c.node('Reshape', [c.inputs[0]!, target], { attributes: inferable ? {} : { allowzero: 1 }, outputs: c.outputs });
  },
});

/** Whether −1 can stand for the one named size, which spares ONNX Runtime a chain of shape nodes. */
function isInferable(target: Shape): boolean {
  return target.filter(d => typeof d !== 'number').length === 1 && !target.includes(0);
}

/** `x` with another shape of the same size; `x` itself when the shape is the same. */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyReshape([x], { shape })[0]!;
}

const applyTranspose = defineOp<{ readonly perm: readonly number[] }>({
  name: 'transpose',
  formula: 'y[i_perm] = x[i]',
  infer: ([x], { perm }) => {
    const valid = [...perm].sort((a, b) => a - b).every((p, i) => p === i) && perm.length === x!.shape.length;
    expectOperands(valid, 'transpose', `rank ${perm.length} and a permutation (${perm})`, [x!]);
    return [{ dtype: x!.dtype, shape: perm.map(p => x!.shape[p]!) }];
  },
  grad: (g, { attrs, gradOutputs }) => {
    const inverse = attrs.perm.map((_, i) => attrs.perm.indexOf(i));
    return [g.transpose(gradOutputs[0]!, inverse)];
  },
  emit: c => void c.node('Transpose', c.inputs, { attributes: { perm: c.attrs.perm }, outputs: c.outputs }),
});

/** Permutes the axes: output axis i is input axis `perm[i]`. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return applyTranspose([x], { perm })[0]!;
}

const applyExpand = defineOp<{ readonly shape: Shape }>({
  name: 'expand',
  formula: 'x repeated along axes of length 1; dx = Σ dy over them',
  infer: ([x], { shape }) => {
    const result = broadcastShapes(x!.shape, shape);
    const fits = result !== undefined && sameShape(result, shape) && shape.every(mayBeSize);
    expectOperands(fits, 'expand', `to fit ${formatShape(shape)}`, [x!]);
    return [{ dtype: x!.dtype, shape }];
  },
  grad: (g, { inputs, gradOutputs }) => [g.sumTo(gradOutputs[0]!, inputs[0]!.shape)],
  emit: c => void c.node('Expand', [c.inputs[0]!, c.dims(c.attrs.shape)], { outputs: c.outputs }),
});

/** Broadcasts `x` to a shape; `x` itself when it has that shape. */
export function expand(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyExpand([x], { shape })[0]!;
}

const applySlice = defineOp<{ readonly axis: number; readonly start: Dim; readonly end: Dim }>({
  name: 'slice',
  formula: 'x[start … end) along one axis; dx = dy padded with zeros',
  infer: ([x], { axis, start, end }) => {
    expectAxis(axis, 'slice', [x!]);
    const length = subDims(end, start);
    const fits = [start, length, subDims(x!.shape[axis]!, end)].every(mayBeSize);
    expectOperands(fits, 'slice', `an axis ${axis} that has ${start} … ${end}`, [x!]);
    return [{ dtype: x!.dtype, shape: x!.shape.with(axis, length) }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const after = subDims(inputs[0]!.shape[attrs.axis]!, attrs.end);
    return [g.pad(gradOutputs[0]!, attrs.axis, attrs.start, after)];
  },
  emit: c => {
    const { axis, start, end } = c.attrs;
    c.node('Slice', [c.inputs[0]!, c.dims([start]), c.dims([end]), c.ints([axis])], { outputs: c.outputs });
  },
});

/** Elements `start … end` (exclusive) along `axis`; `axis` may be negative, the bounds not. */
export function slice(x: Value, axis: number, start: Dim, end: Dim): Value {
  return applySlice([x], { axis: resolveAxis(axis, x.shape.length), start, end })[0]!;
}

const applyPad = defineOp<{ readonly axis: number; readonly before: Dim; readonly after: Dim }>({
  name: 'pad',
  formula: 'x with zeros before and after along one axis; dx = slice of dy',
  infer: ([x], { axis, before, after }) => {
    expectAxis(axis, 'pad', [x!]);
    expectOperands([before, after].every(mayBeSize), 'pad', `no negative padding (${before}, ${after})`, [x!]);
    const size = addDims(addDims(x!.shape[axis]!, before), after);
    return [{ dtype: x!.dtype, shape: x!.shape.with(axis, size) }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const { axis, before } = attrs;
    return [g.slice(gradOutputs[0]!, axis, before, addDims(before, inputs[0]!.shape[axis]!))];
  },
  emit: c => {
    const { axis, before, after } = c.attrs;
    const zero = c.scalar(0, c.inputTypes[0]!.dtype);
    c.node('Pad', [c.inputs[0]!, c.dims([before, after]), zero, c.ints([axis])], { outputs: c.outputs });
  },
});

/** `x` with `before` and `after` zeros along `axis` (may be negative). */
export function pad(x: Value, axis: number, before: Dim, after: Dim): Value {
  if (before === 0 && after === 0) return x;
  return applyPad([x], { axis: resolveAxis(axis, x.shape.length), before, after })[0]!;
}

const applyConcat = defineOp<{ readonly axis: number }>({
  name: 'concat',
  formula: 'x₀, x₁, … joined along one axis; dxᵢ = slice of dy',
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    expectAxis(axis, 'concat', inputs);
    const outside = (shape: Shape) => shape.toSpliced(axis, 1);
    const fits = inputs.every(
      x =>
        x.dtype === first!.dtype &&
        x.shape.length === first!.shape.length &&
        sameShape(outside(x.shape), outside(first!.shape)),
    );
    expectOperands(fits, 'concat', `types that agree outside axis ${axis}`, inputs);
    const size = inputs.map(x => x.shape[axis]!).reduce(addDims, 0);
    return [{ dtype: first!.dtype, shape: first!.shape.with(axis, size) }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    let start: Dim = 0;
    return inputs.map(x => {
      const end = addDims(start, x.shape[attrs.axis]!);
      const piece = g.slice(gradOutputs[0]!, attrs.axis, start, end);
      start = end;
      return piece;
    });
  },
  emit: c => void c.node('Concat', c.inputs, { attributes: { axis: c.attrs.axis }, outputs: c.outputs }),
});

/** Joins values along `axis` (may be negative). */
export function concat(values: readonly Value[], axis: number): Value {
  assert(values.length > 0, 'concat: expected at least one value');
  return values.length === 1
    ? values[0]!
    : applyConcat(values, { axis: resolveAxis(axis, values[0]!.shape.length) })[0]!;
}

const applyRange = defineOp<{ readonly size: Dim; readonly dtype: DType }>({
  name: 'range',
  formula: '0, 1, …, n−1',
  infer: (_, { size, dtype }) => {
    assert(mayBeSize(size), `range: expected a size, got ${size}`);
    return [{ dtype, shape: [size] }];
  },
  grad: 'not differentiable',
  emit: c => {
    const size = c.node('Reshape', [c.dims([c.attrs.size]), c.ints([])]);
    c.node('Range', [c.scalar(0, 'i64'), size, c.scalar(1, 'i64')], { outputs: c.outputs });
  },
});

/** The integers 0 … size−1 as i64. */
export function range(size: Dim): Value {
  return applyRange([], { size, dtype: 'i64' })[0]!;
}

const applyFill = defineOp<{ readonly value: number; readonly shape: Shape }>({
  name: 'fill',
  formula: 'a tensor of one repeated f32 number',
  infer: (_, { shape }) => {
    assert(shape.every(mayBeSize), `fill: expected a shape, got ${formatShape(shape)}`);
    return [{ dtype: 'f32', shape }];
  },
  grad: 'not differentiable',
  emit: c => void c.node('Expand', [c.scalar(c.attrs.value, 'f32'), c.dims(c.attrs.shape)], { outputs: c.outputs }),
});

/** An f32 tensor filled with `value`. */
export function fill(value: number, shape: Shape): Value {
  return applyFill([], { value, shape })[0]!;
}

/** Counts a negative axis from the end. Whether there is such an axis is for the op to check. */
export function resolveAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
