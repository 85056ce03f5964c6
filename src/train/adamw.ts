/**
 * @file AdamW (Loshchilov & Hutter 2019) with clipping by the global gradient norm, as one graph over all parameters. The
 * order of operations is that of torch.optim.AdamW and torch.nn.utils.clip_grad_norm_.
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
  sub,
  type Value,
} from '../graph/index.ts';

/** Constants of the optimizer. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Largest global norm of the gradients; Infinity never clips. */
  readonly maxGradNorm: number;
}

/** How one parameter is updated. */
export interface UpdatedParam {
  readonly name: string;
  readonly shape: readonly number[];
  readonly weightDecay: number;
  /** Factor on the learning rate. */
  readonly lrScale: number;
}

/** Names of the update graph's inputs for the parameter `name`; the outputs have `.next` added. */
export const slots = (name: string) => ({
  param: name,
  grad: `grad:${name}`,
  first: `m:${name}`,
  second: `v:${name}`,
});

/** Step-dependent scalars of the graph. */
export const STEP_SCALARS = ['lr', 'firstCorrection', 'secondCorrection'] as const;

/**
 * The update graph. Inputs: `lr`, `firstCorrection` = 1 − β₁ᵗ, `secondCorrection` = √(1 − β₂ᵗ) and the {@link slots} of
 * each parameter; outputs: `gradNorm` and the new parameter and moments (`<slot>.next`).
 */
export function adamwGraph(params: readonly UpdatedParam[], options: AdamWOptions): Graph {
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
    Object.assign(outputs, updateOne(p, grad, { lr, firstCorrection, secondCorrection }, options));
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

function updateOne(
  { name, shape, weightDecay, lrScale }: UpdatedParam,
  grad: Value,
  scalars: { lr: Value; firstCorrection: Value; secondCorrection: Value },
  { beta1, beta2, epsilon }: AdamWOptions,
): Record<string, Value> {
  const slot = slots(name);
  const [param, oldFirst, oldSecond] = [slot.param, slot.first, slot.second].map(n => input(n, 'f32', shape)) as [
    Value,
    Value,
    Value,
  ];
  const lr = lrScale === 1 ? scalars.lr : mul(scalars.lr, lrScale);
  const decayed = weightDecay === 0 ? param : mul(param, sub(1, mul(lr, weightDecay)));
  const first = add(mul(oldFirst, beta1), mul(grad, 1 - beta1));
  const second = add(mul(oldSecond, beta2), mul(mul(grad, grad), 1 - beta2));
  const denominator = add(div(sqrt(second), scalars.secondCorrection), epsilon);
  const next = sub(decayed, mul(div(lr, scalars.firstCorrection), div(first, denominator)));
  return { [`${slot.param}.next`]: next, [`${slot.first}.next`]: first, [`${slot.second}.next`]: second };
}
