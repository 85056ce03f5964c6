/** @file Every op of the table on each device that works here, against naive references. */

import { beforeEach, describe, expect, test } from 'vitest';
import { buildGraph, emitOnnx, input, type Value } from '../../src/graph/index.ts';
import { compile, type Device, deviceStates, emitOptionsFor } from '../../src/runtime/index.ts';
import type { OpCase } from '../tiny/graph/cases/case.ts';
import { CASES } from '../tiny/graph/cases/index.ts';
import { draw, expectClose, rngFor, run, sizesOf, toHost } from '../tiny/graph/harness.ts';

/** What ONNX Runtime 1.30 cannot do on a device, by op and title of the case. */
const FAULTS: { readonly [D in Device]?: readonly string[] } = {
  webgpu: [
    'reduceMax named sizes, one of them', // none of that size: refused
    'reduceMax nothing left to reduce to',
    'reduceSumSquare no axis', // gives x instead of x²
    'softmax named sizes', // of no rows: refused
  ],
};

async function check(one: OpCase, device: Device): Promise<void> {
  const xs = one.operands.map(({ dtype, shape }, i) => input(`x${i}`, dtype, shape));
  const y = one.apply(...xs);
  const outputs: Record<string, Value> = { y };
  for (const [i, x] of xs.entries()) if (y.node.kind === 'op' && !y.node.inputs.includes(x)) outputs[`unread${i}`] = x;
  const model = emitOnnx(buildGraph(outputs), () => ({ kind: 'input' }), emitOptionsFor(device));
  using executable = await compile(model, { threads: 1, spinning: false, device });
  for (const sizes of one.sizes) {
    const rng = rngFor(`${one.op} ${one.title}`);
    const operands = one.operands.map(operand => draw(operand, sizes, rng));
    const want = one.reference(...operands);
    const feeds = operands.map((x, i) => [`x${i}`, toHost(x, one.operands[i]!.dtype)] as const);
    const { y: got } = await run(executable, Object.fromEntries(feeds));
    expect(sizesOf(y.shape, sizes)).toEqual(want.shape);
    expectClose(`y at ${JSON.stringify(sizes)}`, got!, want, 1e-4);
  }
}

describe.each((await deviceStates()).filter(({ device }) => device !== 'cpu'))('$device', ({ device, problem }) => {
  beforeEach(context => context.skip(problem !== undefined, problem));

  const isFault = ({ op, title }: OpCase): boolean => FAULTS[device]?.includes(`${op} ${title}`) ?? false;
  test.each(CASES.filter(one => !isFault(one)))('$op: $title', one => check(one, device));
  test.fails.each(CASES.filter(isFault))('$op: $title, which ONNX Runtime cannot do', one => check(one, device));
});
