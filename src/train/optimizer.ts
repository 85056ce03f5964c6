/**
 * @file The update of all parameters as one graph: the gradients clipped by their global norm as
 * torch.nn.utils.clip_grad_norm_ does it, then AdamW or Muon for each parameter.
 *
 * The graph may write its outputs over its inputs: each update reads a parameter and its moments only on the way to the
 * operation that overwrites them.
 */

import {
  add,
  buildGraph,
  div,
  type Graph,
  input,
  minimum,
  mul,
  reduceSumSquare,
  sqrt,
  type Value,
} from '../graph/index.ts';
import { adamwUpdate } from './adamw.ts';
import { muonUpdate } from './muon.ts';
import { type OptimizerOptions, STEP_SCALARS, slots, type UpdatedParam } from './updated-param.ts';

/**
 * The update graph. Inputs: `lr`, `firstCorrection` = 1 − β₁ᵗ, `secondCorrection` = √(1 − β₂ᵗ), the gradient and the
 * {@link stateSlots} of each parameter; outputs: `gradNorm` and the new parameter and moments (`<slot>.next`).
 */
export function updateGraph(params: readonly UpdatedParam[], options: OptimizerOptions): Graph {
  const [lr, firstCorrection, secondCorrection] = STEP_SCALARS.map(name => input(name, 'f32', [])) as [
    Value,
    Value,
    Value,
  ];
  const grads = params.map(p => input(slots(p.name).grad, 'f32', p.shape));
  const gradNorm = globalNorm(grads);
  const clip = clipFactor(gradNorm, options.maxGradNorm);
  const outputs: Record<string, Value> = { gradNorm };
  for (const [i, p] of params.entries()) {
    const grad = clip ? mul(grads[i]!, clip) : grads[i]!;
    const scalars = { lr: p.lrScale === 1 ? lr : mul(lr, p.lrScale), firstCorrection, secondCorrection };
    const update = p.optimizer === 'muon' ? muonUpdate : adamwUpdate;
    Object.assign(outputs, update(p, grad, scalars, options));
  }
  return buildGraph(outputs);
}

function globalNorm(grads: readonly Value[]): Value {
  const squares = grads.map(grad =>
    reduceSumSquare(
      grad,
      grad.shape.map((_, axis) => axis),
    ),
  );
  return sqrt(squares.reduce(add));
}

/** min(1, max / (norm + 1e-6)). */
function clipFactor(norm: Value, maxNorm: number): Value | undefined {
  return Number.isFinite(maxNorm) ? minimum(div(maxNorm, add(norm, 1e-6)), 1) : undefined;
}
