/** @file AdamW (Loshchilov & Hutter 2019), in the order of operations of torch.optim.AdamW. */

import { add, div, input, mul, sqrt, sub, type Value } from '../graph/index.ts';
import { type OptimizerOptions, type StepScalars, slots, type UpdatedParam } from './updated-param.ts';

/** The new parameter and moments, by slot with `.next` added; `scalars.lr` is this parameter's own. */
export function adamwUpdate(
  { name, shape, weightDecay }: UpdatedParam,
  grad: Value,
  { lr, firstCorrection, secondCorrection }: StepScalars,
  { beta1, beta2, epsilon }: OptimizerOptions,
): Record<string, Value> {
  const slot = slots(name);
  const [param, oldFirst, oldSecond] = [slot.param, slot.first, slot.second].map(n => input(n, 'f32', shape)) as [
    Value,
    Value,
    Value,
  ];
  const decayed = weightDecay === 0 ? param : mul(param, sub(1, mul(lr, weightDecay)));
  const first = add(mul(oldFirst, beta1), mul(grad, 1 - beta1));
  const second = add(mul(oldSecond, beta2), mul(mul(grad, grad), 1 - beta2));
  const denominator = add(div(sqrt(second), secondCorrection), epsilon);
  const next = sub(decayed, mul(div(lr, firstCorrection), div(first, denominator)));
  return { [`${slot.param}.next`]: next, [`${slot.first}.next`]: first, [`${slot.second}.next`]: second };
}
