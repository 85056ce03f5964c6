/** @file Learning-rate schedule of the LLaVA recipes: linear warm-up, then half a cosine down to 0. */

import { assert } from '../core/index.ts';

/**
 * Factor on the learning rate at `step` (0-based) of `total`, as `get_cosine_schedule_with_warmup` of transformers:
 * step/warmup during warm-up (0 at the first step), then (1 + cos π·progress)/2.
 */
export function cosineWithWarmup(step: number, total: number, warmupSteps: number): number {
  assert(step >= 0 && total > 0, `cosineWithWarmup: step ${step} of ${total}`);
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  const progress = (step - warmupSteps) / Math.max(1, total - warmupSteps);
  return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/** Warm-up steps of a run: ⌈ratio·total⌉, as the Hugging Face trainer. */
export function warmupSteps(ratio: number, total: number): number {
  return Math.ceil(ratio * total);
}
