/** @file Reverse-mode automatic differentiation: from a scalar to its gradients, as further graph. */

import { assert } from '../core/index.ts';
import { opTable } from './op.ts';
import * as ops from './ops/index.ts';
import { type OpNode, scalar, type Value } from './value.ts';

const key = (value: Value): string => `${value.node.id}.${value.index}`;

/**
 * Gradients of the scalar `loss` with respect to each of `wrt`, as values that can be computed beside it. A value that the
 * loss does not depend on gets zeros. Throws `internal:` when a path leads through an op that is not differentiable.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  assert(loss.shape.length === 0, `gradients: expected a scalar loss, got rank ${loss.shape.length}`);
  const path = nodesBetween(loss, wrt);
  const grads = new Map<string, Value>([[key(loss), scalar(1, loss.dtype)]]);
  for (const node of path) backward(node, path, wrt, grads);
  return wrt.map(value => grads.get(key(value)) ?? ops.fill(0, value.shape));
}

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

function backward(node: OpNode, path: ReadonlySet<OpNode>, wrt: readonly Value[], grads: Map<string, Value>): void {
  const record = opTable.get(node.op)!;
  const { grad } = record;
  const outputs = record.infer(node.inputs, node.attrs).map((type, index) => ({ id: node.id, node, index, ...type }));
  if (outputs.every(output => !grads.has(key(output)))) return;
  assert(grad !== 'not differentiable', `gradients: ${node.op} is not differentiable`);
  const gradOutputs = outputs.map(output => grads.get(key(output)) ?? ops.fill(0, output.shape));
  const gradInputs = grad(ops, { inputs: node.inputs, outputs, attrs: node.attrs, gradOutputs });
  for (const [i, x] of node.inputs.entries()) {
    const wanted = wrt.includes(x) || (x.node.kind === 'op' && path.has(x.node));
    const gradient = gradInputs[i];
    if (!wanted || !gradient) continue;
    const sum = grads.get(key(x));
    grads.set(key(x), sum ? ops.add(sum, gradient) : gradient);
  }
}
