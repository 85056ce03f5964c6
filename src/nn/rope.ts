/**
 * @file Rotary positions (RoFormer) and the ways to stretch them over longer contexts, rounded at the same places as PyTorch's
 * f32 computation. Shapes: D head width, P positions.
 */

import { assert, f32Tensor } from '../core/index.ts';
import {
  add,
  cast,
  constant,
  cos,
  type Dim,
  maximum,
  mul,
  pow,
  range,
  reciprocal,
  reduceMax,
  reshape,
  sin,
  sub,
  type Value,
} from '../graph/index.ts';

/**
 * How frequencies are lowered. `linear`: all, by a factor. `dynamic`: by a larger base, once a sequence is longer than what the
 * model was trained on (NTK-aware). `llama3`: only long wavelengths, by a factor, with a smooth transition.
 */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalPositions: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalPositions: number;
    };

/** What the tables depend on. */
export interface RotarySpec {
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
}

/** cos and sin of position·frequency, each [positions, D/2]. */
export interface RotaryTables {
  readonly cosTable: Value;
  readonly sinTable: Value;
}

const f32 = Math.fround;

/** Constant tables for `positions` positions; for all scalings but `dynamic`. */
export function rotaryTables(positions: number, spec: RotarySpec): RotaryTables {
  const table = frequencies(spec);
  const half = table.length;
  const cosines = new Float32Array(positions * half);
  const sines = new Float32Array(positions * half);
  for (const [i, frequency] of table.entries()) {
    for (let position = 0; position < positions; position++) {
      const angle = f32(position * frequency);
      cosines[position * half + i] = Math.cos(angle);
      sines[position * half + i] = Math.sin(angle);
    }
  }
  return {
    cosTable: constant(f32Tensor([positions, half], cosines)),
    sinTable: constant(f32Tensor([positions, half], sines)),
  };
}

/** 2i/D for each i, in f32. */
const exponents = (headDim: number): Float32Array =>
  Float32Array.from({ length: headDim / 2 }, (_, i) => (2 * i) / headDim);

function frequencies({ headDim, ropeTheta, ropeScaling: scaling }: RotarySpec): Float32Array {
  const plain = exponents(headDim).map(exponent => 1 / f32(ropeTheta ** exponent));
  if (scaling === undefined) return plain;
  assert(scaling.type !== 'dynamic', 'rotaryTables: dynamic scaling has no constant tables');
  return plain.map(frequency =>
    scaling.type === 'linear' ? frequency / scaling.factor : llama3Frequency(frequency, scaling),
  );
}

/** Short wavelengths stay, long ones are divided by the factor, those between get a weighted mean of the two. */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  const wavelength = f32((2 * Math.PI) / frequency);
  if (wavelength < originalPositions / high) return frequency;
  if (wavelength > originalPositions / low) return frequency / factor;
  const weight = f32(f32(f32(originalPositions / wavelength) - low) / (high - low));
  return f32(f32(f32(1 - weight) * frequency) / factor) + f32(weight * frequency);
}

/**
 * Tables of `dynamic` scaling, computed in the graph: θ becomes θ·(f·n/L − (f−1))^(D/(D−2)) for a sequence of n > L positions.
 * @param positions P
 * @param length f32 scalar: n
 */
export function dynamicRotaryTables(positions: Dim, length: Value, spec: RotarySpec): RotaryTables {
  const { headDim, ropeTheta, ropeScaling: scaling } = spec;
  assert(scaling?.type === 'dynamic', `dynamicRotaryTables: scaling ${scaling?.type}`);
  const { factor, originalPositions } = scaling;
  const stretch = sub(mul(maximum(length, originalPositions), factor / originalPositions), factor - 1);
  const base = mul(pow(stretch, headDim / (headDim - 2)), ropeTheta);
  const half = headDim / 2;
  const frequency = reciprocal(pow(base, constant(f32Tensor([1, half], exponents(headDim)))));
  const angles = mul(cast(reshape(range(positions), [positions, 1]), 'f32'), frequency);
  return { cosTable: cos(angles), sinTable: sin(angles) };
}

/** f32 scalar: a dimension as a value of the graph. */
export function lengthOf(size: Dim): Value {
  return add(reduceMax(cast(range(size), 'f32'), [0]), 1);
}
