/**
 * @file Every op of the table: its emission against a naive reference, its gradient against finite differences of that
 * reference. An op without a case fails.
 */

import { describe, expect, test } from 'vitest';
import { isFloat } from '../../../src/core/index.ts';
import { gradients, input, mul, opTable, reduceSum, type Value } from '../../../src/graph/index.ts';
import type { OpCase, Sizes } from './cases/case.ts';
import { CASES } from './cases/index.ts';
import { compileOutputs, draw, expectClose, finiteDifferences, rngFor, run, sizesOf, toHost } from './harness.ts';

const FORWARD = 1e-5;
const BACKWARD = 1e-4;

const inputsOf = (one: OpCase): Value[] => one.operands.map(({ dtype, shape }, i) => input(`x${i}`, dtype, shape));
const axesOf = (value: Value): number[] => value.shape.map((_, i) => i);

/** Indices of the operands whose gradient is compared. */
function differentiable(one: OpCase, y: Value): number[] {
  if (opTable.get(one.op)!.grad === 'not differentiable' || !isFloat(y.dtype)) return [];
  return [...one.operands.keys()].filter(i => one.operands[i]!.differentiable);
}

/** y, the gradients of Σ weights·y, and operands that the op does not read (they show named sizes). */
function outputsOf(one: OpCase): { y: Value; outputs: Record<string, Value> } {
  const xs = inputsOf(one);
  const y = one.apply(...xs);
  const outputs: Record<string, Value> = { y };
  for (const [i, x] of xs.entries()) if (y.node.kind === 'op' && !y.node.inputs.includes(x)) outputs[`unread${i}`] = x;
  const wrt = differentiable(one, y);
  if (wrt.length === 0) return { y, outputs };
  const loss = reduceSum(mul(y, input('weights', y.dtype, y.shape)), axesOf(y));
  const slopes = gradients(
    loss,
    wrt.map(i => xs[i]!),
  );
  for (const [n, i] of wrt.entries()) outputs[`d${i}`] = slopes[n]!;
  return { y, outputs };
}

async function check(one: OpCase): Promise<void> {
  const rng = rngFor(`${one.op} ${one.title}`);
  const { y, outputs } = outputsOf(one);
  expect(y.node).toMatchObject({ op: one.op });
  using executable = await compileOutputs(outputs);
  for (const sizes of one.sizes) await checkRun(one, y, sizes, rng, executable);
}

async function checkRun(
  one: OpCase,
  y: Value,
  sizes: Sizes,
  rng: ReturnType<typeof rngFor>,
  executable: Awaited<ReturnType<typeof compileOutputs>>,
) {
  const operands = one.operands.map(operand => draw(operand, sizes, rng));
  const want = one.reference(...operands);
  expect(sizesOf(y.shape, sizes), 'inferred shape').toEqual(want.shape);
  const weights = { shape: want.shape, data: want.data.map(() => Math.fround(rng.normal())) };
  const feeds = operands.map((x, i) => [`x${i}`, toHost(x, one.operands[i]!.dtype)] as const);
  const wrt = differentiable(one, y);
  const got = await run(executable, {
    ...Object.fromEntries(feeds),
    ...(wrt.length > 0 && { weights: toHost(weights, y.dtype) }),
  });
  expectClose(`y at ${JSON.stringify(sizes)}`, got.y!, want, FORWARD);
  for (const i of wrt) {
    const slopes = finiteDifferences(one.reference, operands, i, weights);
    expectClose(`gradient of operand ${i} at ${JSON.stringify(sizes)}`, got[`d${i}`]!, slopes, BACKWARD);
  }
}

test('every op has a case', () => {
  expect(new Set(CASES.map(one => one.op))).toEqual(new Set(opTable.keys()));
});

describe.each([...opTable.keys()])('%s', op => {
  test.each(CASES.filter(one => one.op === op))('$title', check);
});
