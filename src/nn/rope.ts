/** @file Rotary position tables (RoFormer), rounded at the same places as PyTorch's f32 computation. */

import { f32Tensor } from '../core/index.ts';
import { constant, type Value } from '../graph/index.ts';

/** cos and sin of position·θ^(−2i/D), each [positions, D/2]. */
export interface RotaryTables {
  readonly cosTable: Value;
  readonly sinTable: Value;
}

/** Tables for `positions` positions and heads of width `headDim` with base `theta`. */
export function rotaryTables(positions: number, headDim: number, theta: number): RotaryTables {
  const half = headDim / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)));
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return {
    cosTable: constant(f32Tensor([positions, half], cos)),
    sinTable: constant(f32Tensor([positions, half], sin)),
  };
}
