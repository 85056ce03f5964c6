/** @file Activations by the names that checkpoints use in `hidden_act`. */

import { gelu, geluTanh, quickGelu, type Value } from '../graph/index.ts';

const ACTIVATIONS = {
  gelu,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: (x: Value): Value => quickGelu(x, 1.702),
  silu: (x: Value): Value => quickGelu(x, 1),
} as const;

/** Name of an activation, as in `hidden_act`. */
export type ActivationName = keyof typeof ACTIVATIONS;

/** All names that {@link activate} knows. */
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as readonly ActivationName[];

/** Applies the named activation. */
export function activate(name: ActivationName, x: Value): Value {
  return ACTIVATIONS[name](x);
}
