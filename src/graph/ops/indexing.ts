/** @file Ops that pick and place elements by index. Negative indices count from the end; outside ones are errors at run time. */

import { type Shape, sameShape, shapeSize } from '../dim.ts';
import { defineOp, expectAxis, expectOperands } from '../op.ts';
import type { TensorType, Value } from '../value.ts';
import { expand, fill, reshape, resolveAxis } from './movement.ts';

const isIndex = ({ dtype }: TensorType): boolean => dtype === 'i64' || dtype === 'i32';

const applyGather = defineOp<{ readonly axis: number }>({
  name: 'gather',
  formula: 'x[…, index, …] along one axis; dx = dy added at the indices',
  infer: (inputs, { axis }) => {
    const [x, index] = inputs as [TensorType, TensorType];
    expectAxis(axis, 'gather', inputs);
    expectOperands(isIndex(index), 'gather', 'an integer index', inputs);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)] }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const [x, index] = inputs as [Value, Value];
    const flat = g.reshape(index, [shapeSize(index.shape)]);
    const before = x.shape.slice(0, attrs.axis);
    const after = x.shape.slice(attrs.axis + 1);
    const updates = g.reshape(gradOutputs[0]!, [...before, flat.shape[0]!, ...after]);
    return [g.scatterAdd(fill(0, x.shape), broadcastIndex(flat, updates.shape, attrs.axis), updates, attrs.axis), null];
  },
  emit: c => void c.node('Gather', c.inputs, { attributes: { axis: c.attrs.axis }, outputs: c.outputs }),
});

/** Slices of `x` along `axis` at an integer index of any shape, whose axes replace `axis`. */
export function gather(x: Value, index: Value, axis = 0): Value {
  return applyGather([x, index], { axis: resolveAxis(axis, x.shape.length) })[0]!;
}

/** A vector of indices along `axis`, repeated over the other axes of `shape`. */
function broadcastIndex(flat: Value, shape: Shape, axis: number): Value {
  const lone = shape.map((_, i) => (i === axis ? flat.shape[0]! : 1));
  return expand(reshape(flat, lone), shape);
}

const applyGatherElements = defineOp<{ readonly axis: number }>({
  name: 'gatherElements',
  formula: 'y[i, j] = x[i, index[i, j]] along one axis; dx = dy added at the indices',
  infer: (inputs, { axis }) => {
    const [x, index] = inputs as [TensorType, TensorType];
    expectAxis(axis, 'gatherElements', inputs);
    const fits = isIndex(index) && index.shape.length === x.shape.length;
    expectOperands(fits, 'gatherElements', 'an integer index of the same rank', inputs);
    return [{ dtype: x.dtype, shape: index.shape }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const [x, index] = inputs as [Value, Value];
    return [g.scatterAdd(fill(0, x.shape), index, gradOutputs[0]!, attrs.axis), null];
  },
  emit: c => void c.node('GatherElements', c.inputs, { attributes: { axis: c.attrs.axis }, outputs: c.outputs }),
});

/** `x` at `index` along `axis`, position by position; the index has x's rank. */
export function gatherElements(x: Value, index: Value, axis: number): Value {
  return applyGatherElements([x, index], { axis: resolveAxis(axis, x.shape.length) })[0]!;
}

const applyScatterAdd = defineOp<{ readonly axis: number }>({
  name: 'scatterAdd',
  formula: 'y = x, then y[i, index[i, j]] += u[i, j] along one axis; dx = dy, du = dy at the indices',
  infer: (inputs, { axis }) => {
    const [x, index, updates] = inputs as [TensorType, TensorType, TensorType];
    expectAxis(axis, 'scatterAdd', inputs);
    const alike = updates.dtype === x.dtype && updates.shape.length === x.shape.length;
    expectOperands(alike, 'scatterAdd', 'updates of the same dtype and rank', inputs);
    const fits = isIndex(index) && sameShape(index.shape, updates.shape);
    expectOperands(fits, 'scatterAdd', 'an integer index shaped like the updates', inputs);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const dy = gradOutputs[0]!;
    return [dy, null, g.gatherElements(dy, inputs[1]!, attrs.axis)];
  },
  emit: c => {
    const attributes = { axis: c.attrs.axis, reduction: 'add' };
    c.node('ScatterElements', c.inputs, { attributes, outputs: c.outputs });
  },
});

/** `x` with `updates` added at `index` along `axis`; repeated indices add up. */
export function scatterAdd(x: Value, index: Value, updates: Value, axis: number): Value {
  return applyScatterAdd([x, index, updates], { axis: resolveAxis(axis, x.shape.length) })[0]!;
}
