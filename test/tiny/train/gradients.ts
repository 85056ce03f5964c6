/** @file Loss and gradients of an objective in one run. */

import type { HostTensor } from '../../../src/core/index.ts';
import { buildGraph, emitOnnx, gradients } from '../../../src/graph/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import type { Objective } from '../../../src/train/index.ts';

/** `loss`, and `grad.<name>` for each parameter in `names`. */
export async function lossAndGradients(
  objective: Objective,
  names: readonly string[],
  weights: ReadonlyMap<string, HostTensor>,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, HostTensor>> {
  const grads = gradients(
    objective.loss,
    names.map(name => objective.params.get(name)!),
  );
  const outputs = { loss: objective.loss, ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, grads[i]!])) };
  const model = emitOnnx(buildGraph(outputs), port => ({ kind: 'host', tensor: weights.get(port.name)! }));
  using executable = await compile(model);
  const results = await executable.run(feeds);
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.read()]));
}
