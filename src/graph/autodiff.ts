/** @file Reverse-mode automatic differentiation: from a scalar to its gradients, as further graph. */

import { assert, type DType, isFloat } from '../core/index.ts';
import type { Shape } from './dim.ts';
import { formatType, opTable } from './op.ts';
import * as ops from './ops/index.ts';
import { type OpNode, scalar, type Value } from './value.ts';

const key = (value: Value): string => `${value.node.id}.${value.index}`;

/**
 * Gradients of the scalar `loss` with respect to each of `wrt`, as values that can be computed beside it. A value that the
 * loss does not depend on gets zeros; so does one that it depends on only through integers or bools (indices, masks).
 * Throws `internal:` when a path leads through an op, or an operand of one, that is not differentiable.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  assert(loss.shape.length === 0, `gradients: expected a scalar loss, got ${formatType(loss)}`);
  const path = nodesBetween(loss, wrt);
  const wanted = new Set(wrt.map(key));
  const grads = new Map<string, Value>([[key(loss), scalar(1, loss.dtype)]]);
  for (const node of path) backward(node, path, wanted, grads);
  return wrt.map(value => grads.get(key(value)) ?? zeros(value));
}

const zeros = ({ dtype, shape }: { dtype: DType; shape: Shape }): Value => ops.cast(ops.fill(0, shape), dtype);

/** Op nodes on a path from any of `wrt` to `loss`, from the loss backwards. */
function nodesBetween(loss: Value, wrt: readonly Value[]): Set<OpNode> {
  const targets = new Set(wrt.map(value => value.node.id));
  const order = opNodesBelow(loss);
  const active = new Set<OpNode>();
  for (const node of order) {
    const leads = node.inputs.some(x => targets.has(x.node.id) || (x.node.kind === 'op' && active.has(x.node)));
    if (leads) active.add(node);
  }
  return new Set([...active].reverse());
}

/** All op nodes that `value` depends on, inputs first. */
function opNodesBelow(value: Value): OpNode[] {
  const seen = new Map<number, OpNode>();
  const pending = [value];
  while (pending.length > 0) {
    const { node } = pending.pop()!;
    if (node.kind !== 'op' || seen.has(node.id)) continue;
    seen.set(node.id, node);
    pending.push(...node.inputs);
  }
  return [...seen.values()].sort((a, b) => a.id - b.id);
}

/** Adds the node's part to the gradients of those of its inputs that are wanted or lead to something wanted. */
function backward(
  node: OpNode,
  path: ReadonlySet<OpNode>,
  wanted: ReadonlySet<string>,
  grads: Map<string, Value>,
): void {
  const record = opTable.get(node.op)!;
  const { grad } = record;
  const outputs = record.infer(node.inputs, node.attrs).map((type, index) => ({ id: node.id, node, index, ...type }));
  if (outputs.every(output => !grads.has(key(output)))) return;
  assert(grad !== 'not differentiable', `gradients: ${node.op} is not differentiable`);
  const gradOutputs = outputs.map(output => grads.get(key(output)) ?? zeros(output));
  const gradInputs = grad(ops, { inputs: node.inputs, outputs, attrs: node.attrs, gradOutputs });
  for (const [i, x] of node.inputs.entries()) {
    const leads = wanted.has(key(x)) || (x.node.kind === 'op' && path.has(x.node));
    if (!leads || !isFloat(x.dtype)) continue;
    const gradient = gradInputs[i];
    assert(gradient, `gradients: ${node.op} is not differentiable in operand ${i}`);
    const sum = grads.get(key(x));
    grads.set(key(x), sum ? ops.add(sum, gradient) : gradient);
  }
}
