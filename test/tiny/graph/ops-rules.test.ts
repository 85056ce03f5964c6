/**
 * @file The rules of the op table that need no run or a small one: operands that are refused, ops that are not
 * differentiable, and where the gradient goes at ties and kinks.
 */

import { describe, expect, test } from 'vitest';
import { f32Tensor, isFloat } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';
import type { OpCase } from './cases/case.ts';
import { CASES } from './cases/index.ts';
import { compileOutputs, run } from './harness.ts';
import { REJECTS } from './rejects.ts';

test('every op has operands that it refuses', () => {
  expect(new Set(Object.keys(REJECTS))).toEqual(new Set(g.opTable.keys()));
});

/** These have no operands to name. */
const NULLARY = ['range', 'fill'];

describe.each(Object.entries(REJECTS).filter(([, calls]) => calls.length > 0))('%s refuses', (op, calls) => {
  test.each(calls.map((call, i) => [i, call] as const))('operands %i', (_, call) => {
    const types = NULLARY.includes(op) ? '' : '.*(f32|f16|i64|i32|i8|u8|bool)\\[.*\\]';
    expect(call).toThrow(new RegExp(`^internal: ${op}: expected .*, got ${types}`));
  });
});

test('two numbers are no operands', () => {
  expect(() => g.add(1, 2)).toThrow(/^internal: /);
  expect(() => g.where(g.input('c', 'bool', [2]), 1, 0)).toThrow(/^internal: /);
});

describe('not differentiable', () => {
  const firstCase = (op: string): OpCase =>
    CASES.find(one => one.op === op && one.operands.some(x => x.dtype === 'f32'))!;
  const ops = [...g.opTable.values()].filter(op => op.grad === 'not differentiable').map(op => op.name);
  const sum = (x: g.Value) =>
    g.reduceSum(
      x,
      x.shape.map((_, i) => i),
    );

  test('which ops are', () => {
    const quantized = ['quantizeRows', 'integerMatMul', 'blockMatMul'];
    const expected = ['less', 'lessOrEqual', 'equal', 'range', 'fill', 'argMax', 'groupQueryAttention', ...quantized];
    expect(ops.toSorted()).toEqual(expected.toSorted());
  });

  test.each(ops.filter(op => !NULLARY.includes(op)))('%s', op => {
    const one = firstCase(op);
    const xs = one.operands.map(({ dtype, shape }, i) => g.input(`x${i}`, dtype, shape));
    const y = one.apply(...xs);
    const error = new RegExp(`^internal: gradients: ${op} is not differentiable$`);
    if (isFloat(y.dtype)) expect(() => g.gradients(sum(y), [xs[0]!])).toThrow(error);
    else expect(g.gradients(sum(g.cast(y, 'f32')), [xs[0]!])[0]!.node, 'zeros').toMatchObject({ op: 'fill' });
  });

  test('a comparison as the loss itself', () => {
    const x = g.input('x', 'f32', []);
    expect(() => g.gradients(g.less(x, 0), [x])).toThrow('internal: gradients: less is not differentiable');
  });

  test('tables of a rotary embedding', () => {
    const x = g.input('x', 'f32', [1, 1, 2, 4]);
    const table = g.param('table', [3, 2]);
    const y = g.rotaryEmbedding(x, g.input('p', 'i64', [1, 2]), table, table);
    expect(() => g.gradients(sum(y), [table])).toThrow('rotaryEmbedding is not differentiable in operand 2');
    expect(() => g.gradients(sum(y), [x])).not.toThrow();
  });
});

describe('conventions at ties and kinks', () => {
  const a = g.input('a', 'f32', [4]);
  const b = g.input('b', 'f32', [4]);
  const feeds = { a: f32Tensor([4], [1, 2, 0, -3]), b: f32Tensor([4], [1, 1, 0, -1]) };
  const slopes = async (y: g.Value): Promise<Record<string, number[]>> => {
    const [da, db] = g.gradients(
      g.reduceSum(
        y,
        y.shape.map((_, i) => i),
      ),
      [a, b],
    );
    using executable = await compileOutputs({ da: da!, db: db! });
    const got = await run(executable, feeds);
    return { da: [...got.da!.data], db: [...got.db!.data] };
  };

  test('maximum gives it to the first', async () => {
    expect(await slopes(g.maximum(a, b))).toEqual({ da: [1, 1, 1, 0], db: [0, 0, 0, 1] });
  });

  test('minimum gives it to the first', async () => {
    expect(await slopes(g.minimum(a, b))).toEqual({ da: [1, 0, 1, 1], db: [0, 1, 0, 0] });
  });

  test('reduceMax shares it among the maxima', async () => {
    expect((await slopes(g.reduceMax(b, [0]))).db).toEqual([0.5, 0.5, 0, 0]);
  });

  test('abs has none at 0', async () => {
    expect((await slopes(g.abs(a))).da).toEqual([1, 1, 0, -1]);
  });

  test('gather adds up at a repeated index', async () => {
    const index = g.constant({ dtype: 'i64', shape: [3], data: BigInt64Array.of(2n, 0n, 2n) });
    expect((await slopes(g.gather(a, index))).da).toEqual([1, 0, 2, 0]);
  });
});
