/** @file What the update of one parameter reads and writes, whichever optimizer it is. */

import type { Value } from '../graph/index.ts';

/** Constants of the optimizers. */
export interface OptimizerOptions {
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
  /** Default `adamw`; `muon` wants a matrix. */
  readonly optimizer?: 'adamw' | 'muon';
}

/** Names of the update graph's inputs for the parameter `name`; the outputs have `.next` added. */
export const slots = (name: string) => ({
  param: name,
  grad: `grad:${name}`,
  first: `m:${name}`,
  second: `v:${name}`,
});

/** The slots that an update reads and writes: Muon has one moment, AdamW two. */
export function stateSlots({ name, optimizer }: UpdatedParam): readonly string[] {
  const { param, first, second } = slots(name);
  return optimizer === 'muon' ? [param, first] : [param, first, second];
}

/** Step-dependent scalars of the graph. */
export const STEP_SCALARS = ['lr', 'firstCorrection', 'secondCorrection'] as const;

/** {@link STEP_SCALARS} as values. */
export type StepScalars = { readonly [K in (typeof STEP_SCALARS)[number]]: Value };
