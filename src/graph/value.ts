/**
 * @file Symbolic tensors. A {@link Value} is an output of a {@link Node}; nodes point at their input values, so a model
 * is a directed acyclic graph built by calling functions. Ids grow with creation: inputs always have smaller ids.
 */

import { castFloat, type DType, f32Tensor, type HostTensor, hostTensor } from '../core/index.ts';
import type { Shape } from './dim.ts';

/** What is known of a tensor before running: element type and shape. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Where a value comes from: an op of the table, or one of the three leaves. */
export type Node = OpNode | LeafNode;

/** Application of the op named `op`. */
export interface OpNode {
  readonly kind: 'op';
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attrs: object;
}

/** A graph input (fed at each run), a parameter (weights, bound by name) or a constant. */
export interface LeafNode {
  readonly kind: 'input' | 'param' | 'constant';
  readonly id: number;
  readonly name: string;
  readonly tensor?: HostTensor;
}

/** Symbolic tensor: output number `index` of `node`. */
export interface Value extends TensorType {
  readonly id: number;
  readonly node: Node;
  readonly index: number;
}

let counter = 0;

/** Next id; creation order is a topological order. */
export function nextId(): number {
  return ++counter;
}

/** A value fed at each run. */
export function input(name: string, dtype: DType, shape: Shape): Value {
  const id = nextId();
  return { id, node: { kind: 'input', id, name }, index: 0, dtype, shape };
}

/** A weight, bound by name when the graph is compiled or trained. Static shape. */
export function param(name: string, shape: readonly number[], dtype: DType = 'f32'): Value {
  const id = nextId();
  return { id, node: { kind: 'param', id, name }, index: 0, dtype, shape };
}

/** A constant baked into the graph. */
export function constant(tensor: HostTensor): Value {
  const id = nextId();
  const node: LeafNode = { kind: 'constant', id, name: `const${id}`, tensor };
  return { id, node, index: 0, dtype: tensor.dtype, shape: tensor.shape };
}

/** A constant scalar of the given type. */
export function scalar(value: number, dtype: DType = 'f32'): Value {
  if (dtype === 'f16' || dtype === 'bf16') return constant(castFloat(f32Tensor([], [value]), dtype));
  const tensor = hostTensor(dtype, []);
  if (dtype === 'i64' || dtype === 'u64') tensor.data[0] = BigInt(value);
  else tensor.data[0] = value;
  return constant(tensor);
}
