/** @file Runs graphs on ONNX Runtime and compares the results with f64 references and finite differences. */

import { type DType, type HostTensor, hostTensor, Rng, toF16, toFloat32 } from '../../../src/core/index.ts';
import {
  buildGraph,
  emitOnnx,
  evaluateDim,
  type ParamSource,
  type Shape,
  type Value,
} from '../../../src/graph/index.ts';
import { compile, type Executable } from '../../../src/runtime/index.ts';
import type { Operand, Sizes } from './cases/case.ts';
import type { Nd } from './nd.ts';

export const sizesOf = (shape: Shape, sizes: Sizes): number[] => shape.map(d => evaluateDim(d, sizes));

/** Compiles the graph of `outputs`, whose parameters are fed as inputs unless `source` says otherwise. */
export function compileOutputs(
  outputs: Readonly<Record<string, Value>>,
  source: (name: string) => ParamSource = () => ({ kind: 'input' }),
): Promise<Executable> {
  const model = emitOnnx(buildGraph(outputs), param => source(param.name));
  return compile(model, { threads: 1, spinning: false });
}

/** Runs once; results as f64, and the tensors of the run disposed. */
export async function run(
  executable: Executable,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, Nd>> {
  const known = executable.inputs.map(port => port.name);
  const results = await executable.run(
    Object.fromEntries(Object.entries(feeds).filter(([name]) => known.includes(name))),
  );
  const arrays = Object.entries(results).map(([name, tensor]): [string, Nd] => [name, toNd(tensor.read())]);
  for (const tensor of Object.values(results)) tensor.dispose();
  return Object.fromEntries(arrays);
}

export function toNd(tensor: HostTensor): Nd {
  return { shape: tensor.shape, data: Float64Array.from(toFloat32(tensor)) };
}

/** A host tensor with the numbers of `x`. */
export function toHost(x: Nd, dtype: DType): HostTensor {
  const tensor = hostTensor(dtype, x.shape);
  for (const [i, v] of x.data.entries()) {
    if (dtype === 'i64') tensor.data[i] = BigInt(v);
    else tensor.data[i] = dtype === 'f16' ? toF16(v) : v;
  }
  return tensor;
}

/** Random numbers for an operand, rounded to f32 so that both sides see the same. */
export function draw({ shape, draw: next }: Operand, sizes: Sizes, rng: Rng): Nd {
  const concrete = sizesOf(shape, sizes);
  const length = concrete.reduce((a, b) => a * b, 1);
  return { shape: concrete, data: Float64Array.from({ length }, () => Math.fround(next(rng))) };
}

/** Central differences of Σ weights·f(x) with respect to each element of operand `which`, by f64 references. */
export function finiteDifferences(
  f: (...operands: Nd[]) => Nd,
  operands: readonly Nd[],
  which: number,
  weights: Nd,
  step = 1e-5,
): Nd {
  const { shape, data } = operands[which]!;
  const lossAt = (i: number, value: number): number => {
    const moved = { shape, data: data.with(i, value) };
    const y = f(...operands.with(which, moved));
    return y.data.reduce((total, v, j) => total + v * weights.data[j]!, 0);
  };
  const slopes = data.map((v, i) => (lossAt(i, v + step) - lossAt(i, v - step)) / (2 * step));
  return { shape, data: slopes };
}

/**
 * Throws unless shapes agree and |got − want| ≤ tolerance·(|want| + rms of all that is wanted) everywhere. NaN in `want`
 * stands for anything.
 */
export function expectClose(what: string, got: Nd, want: Nd, tolerance: number): void {
  if (got.shape.join() !== want.shape.join()) throw new Error(`${what}: expected [${want.shape}], got [${got.shape}]`);
  const wanted = want.data.filter(v => !Number.isNaN(v));
  const rms = Math.sqrt(wanted.reduce((total, v) => total + v * v, 0) / Math.max(1, wanted.length));
  for (const [i, v] of want.data.entries()) {
    const limit = tolerance * (Math.abs(v) + rms) + 1e-12;
    const fits = Number.isNaN(v) || got.data[i] === v || Math.abs(got.data[i]! - v) <= limit;
    if (!fits) throw new Error(`${what}: element ${i}: expected ${v} ± ${limit}, got ${got.data[i]}`);
  }
}

/** Deterministic numbers for a test, by its name. */
export function rngFor(name: string): Rng {
  return new Rng([...name].reduce((hash, c) => Math.imul(hash, 31) + c.charCodeAt(0), 7));
}
