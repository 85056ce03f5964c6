/**
 * @file The forward and backward pass of a training step as one graph: loss, and each gradient added to a buffer that stays
 * in ONNX Runtime, so that micro-batches accumulate without leaving it.
 */

import { add, buildGraph, type Graph, gradients, input, mul, type Value } from '../graph/index.ts';
import { slots } from './updated-param.ts';

/** What a stage trains: a scalar loss and its parameters by name. */
export interface Objective {
  readonly loss: Value;
  readonly params: ReadonlyMap<string, Value>;
}

/**
 * Graph with inputs of the objective, `weight` (factor on this micro-batch's gradients) and a buffer `grad:<name>` for each
 * trained parameter; outputs `loss` and `grad:<name>.next` = buffer + weight·gradient. The other parameters stay frozen.
 */
export function stepGraph({ loss, params }: Objective, trained: readonly string[]): Graph {
  const weight = input('weight', 'f32', []);
  const values = trained.map(name => params.get(name)!);
  const outputs: Record<string, Value> = { loss };
  for (const [i, gradient] of gradients(loss, values).entries()) {
    const slot = slots(trained[i]!).grad;
    outputs[`${slot}.next`] = add(input(slot, 'f32', gradient.shape), mul(gradient, weight));
  }
  return buildGraph(outputs);
}
