/** @file Gradients of composed functions: a small transformer against finite differences, and the rules of accumulation. */

import { describe, expect, test } from 'vitest';
import { f32Tensor } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';
import { defineOp } from '../../../src/graph/op.ts';
import { compileOutputs, expectClose, finiteDifferences, rngFor, run, toHost } from './harness.ts';
import { build, type Nd } from './nd.ts';
import * as r from './reference.ts';

const total = (x: g.Value): g.Value => g.reduceSum(x, [...x.shape.keys()]);

/** Value of each output at the given f32 vectors. */
async function evaluate(outputs: Record<string, g.Value>, feeds: Record<string, readonly number[]>) {
  using executable = await compileOutputs(outputs);
  const tensors = Object.entries(feeds).map(([name, values]) => [name, f32Tensor([values.length], values)]);
  const got = await run(executable, Object.fromEntries(tensors));
  return Object.fromEntries(Object.entries(got).map(([name, x]) => [name, [...x.data]]));
}

describe('a small transformer', () => {
  const [VOCABULARY, WIDTH, INNER] = [7, 4, 6];
  const EPSILON = 1e-5;
  const SHAPES = {
    embedding: [VOCABULARY, WIDTH],
    normWeight: [WIDTH],
    normBias: [WIDTH],
    query: [WIDTH, WIDTH],
    key: [WIDTH, WIDTH],
    value: [WIDTH, WIDTH],
    up: [INNER, WIDTH],
    upBias: [INNER],
    down: [WIDTH, INNER],
  } as const;
  type Name = keyof typeof SHAPES;
  const NAMES = Object.keys(SHAPES) as Name[];

  /** Embedding, one pre-norm block, tied output layer, mean cross entropy. */
  function loss(p: Record<Name, g.Value>, ids: g.Value, targets: g.Value): g.Value {
    const x = g.gather(p.embedding, ids);
    const h = g.layerNorm(x, p.normWeight, p.normBias, EPSILON);
    const [q, k, v] = [p.query, p.key, p.value].map(w => g.matMul(h, w, { transB: true })) as [
      g.Value,
      g.Value,
      g.Value,
    ];
    const attended = g.matMul(g.softmax(g.matMul(q, k, { transB: true, alpha: 0.5 })), v);
    const y = g.add(x, attended);
    const inner = g.gelu(g.add(g.matMul(y, p.up, { transB: true }), p.upBias));
    const z = g.add(y, g.matMul(inner, p.down, { transB: true }));
    const rows = g.reshape(z, [g.shapeSize(ids.shape), WIDTH]);
    const logits = g.matMul(rows, p.embedding, { transB: true });
    return g.reduceMean(g.crossEntropy(logits, targets), [0]);
  }

  /** The same from the naive references. */
  function reference(p: readonly Nd[], ids: Nd, targets: Nd): Nd {
    const [embedding, normWeight, normBias, query, key, value, up, upBias, down] = p as [
      Nd,
      Nd,
      Nd,
      Nd,
      Nd,
      Nd,
      Nd,
      Nd,
      Nd,
    ];
    const add = r.binary((a, b) => a + b);
    const x = r.gather(embedding, ids, 0);
    const h = r.layerNorm(x, normWeight, normBias, EPSILON);
    const [q, k, v] = [query, key, value].map(w => r.matMul(h, w, { transB: true })) as [Nd, Nd, Nd];
    const y = add(x, r.matMul(r.softmax(r.matMul(q, k, { transB: true, alpha: 0.5 })), v));
    const inner = r.unary(r.gelu)(add(r.matMul(y, up, { transB: true }), upBias));
    const z = add(y, r.matMul(inner, down, { transB: true }));
    const logits = r.matMul(r.reshape(z, [ids.data.length, WIDTH]), embedding, { transB: true });
    return r.reduce(r.crossEntropy(logits, targets), [0], false, r.reduceMean);
  }

  test('loss and every gradient', async () => {
    const rng = rngFor('transformer');
    const [B, T] = [g.dim('B'), g.dim('T')];
    const params = Object.fromEntries(NAMES.map(name => [name, g.param(name, SHAPES[name])])) as Record<Name, g.Value>;
    const y = loss(params, g.input('ids', 'i64', [B, T]), g.input('targets', 'i64', [g.mulDims(B, T)]));
    const slopes = g.gradients(
      y,
      NAMES.map(name => params[name]),
    );
    using executable = await compileOutputs({
      loss: y,
      ...Object.fromEntries(NAMES.map((name, i) => [`d.${name}`, slopes[i]!])),
    });
    const ids = build([2, 3], () => rng.int(VOCABULARY));
    const targets = build([6], () => rng.int(VOCABULARY));
    const values = NAMES.map(name => build(SHAPES[name], () => Math.fround(0.6 * rng.normal())));
    const got = await run(executable, {
      ids: toHost(ids, 'i64'),
      targets: toHost(targets, 'i64'),
      ...Object.fromEntries(NAMES.map((name, i) => [name, toHost(values[i]!, 'f32')])),
    });
    const naive = (...p: Nd[]) => reference(p, ids, targets);
    expectClose('loss', got.loss!, naive(...values), 1e-6);
    for (const [i, name] of NAMES.entries()) {
      const want = finiteDifferences(naive, values, i, { shape: [], data: Float64Array.of(1) });
      expectClose(`gradient of ${name}`, got[`d.${name}`]!, want, 1e-4);
    }
  });
});

describe('accumulation', () => {
  const x = g.input('x', 'f32', [3]);
  const at = { x: [1, -2, 3] };

  test('a value used several times', async () => {
    const y = g.add(g.mul(x, x), g.mul(x, 5));
    const [dx] = g.gradients(total(g.add(y, x)), [x]);
    expect(await evaluate({ dx: dx! }, at)).toEqual({ dx: [8, 2, 12] });
  });

  test('both operands the same value', async () => {
    const [dx] = g.gradients(total(g.mul(x, x)), [x]);
    expect(await evaluate({ dx: dx! }, at)).toEqual({ dx: [2, -4, 6] });
  });

  test('with respect to a value in the middle, and what it comes from', async () => {
    const middle = g.mul(x, 2);
    const [dMiddle, dx] = g.gradients(total(g.mul(middle, middle)), [middle, x]);
    expect(await evaluate({ dMiddle: dMiddle!, dx: dx! }, at)).toEqual({ dMiddle: [4, -8, 12], dx: [8, -16, 24] });
  });

  test('with respect to the loss itself', async () => {
    const loss = total(x);
    const [one] = g.gradients(loss, [loss]);
    expect(await evaluate({ one: one! }, {})).toEqual({ one: [1] });
  });

  test('gradient of a gradient, through an output that the first rule reads', async () => {
    const y = g.exp(x);
    const [dx] = g.gradients(total(g.mul(y, y)), [x]);
    const [dy, dxx] = g.gradients(total(dx!), [y, x]);
    const got = await evaluate({ dy: dy!, dxx: dxx! }, at);
    for (const [i, v] of at.x.entries()) {
      expect(got.dy![i]! / (4 * Math.exp(v))).toBeCloseTo(1, 5);
      expect(got.dxx![i]! / (4 * Math.exp(2 * v))).toBeCloseTo(1, 5);
    }
  });

  test('a long chain', () => {
    let y = x;
    for (let i = 0; i < 20_000; i++) y = g.neg(y);
    expect(() => g.gradients(total(y), [x])).not.toThrow();
  });
});

describe('no dependence', () => {
  const x = g.input('x', 'f32', [2]);

  test('zeros of the same type', async () => {
    const [unused, half] = [g.param('unused', [2, 2]), g.param('half', [3], 'f16')];
    const [dx, dUnused, dHalf] = g.gradients(total(x), [x, unused, half]);
    expect([dUnused!.shape, dHalf!.dtype]).toEqual([[2, 2], 'f16']);
    const got = await evaluate({ dx: dx!, dUnused: dUnused!, dHalf: dHalf! }, {});
    expect(got).toEqual({ dx: [1, 1], dUnused: [0, 0, 0, 0], dHalf: [0, 0, 0] });
  });

  test('an op that is not differentiable beside the path does no harm', () => {
    const mask = g.cast(g.less(x, 0), 'f32');
    expect(() => g.gradients(total(g.mul(x, mask)), [x])).not.toThrow();
  });
});

test('a loss that is not a scalar', () => {
  const x = g.input('x', 'f32', [2]);
  expect(() => g.gradients(x, [x])).toThrow('internal: gradients: expected a scalar loss, got f32[2]');
});

describe('an op with two outputs', () => {
  const apply = defineOp<object>({
    name: 'twiceAndThrice',
    formula: '2x and 3x',
    infer: ([x]) => [x!, x!].map(({ dtype, shape }) => ({ dtype, shape })),
    grad: (ops, { gradOutputs: [da, db] }) => [ops.add(ops.mul(da!, 2), ops.mul(db!, 3))],
    emit: c => {
      for (const [i, factor] of [2, 3].entries()) {
        c.node('Mul', [c.inputs[0]!, c.scalar(factor, 'f32')], { outputs: [c.outputs[i]!] });
      }
    },
  });
  const x = g.input('x', 'f32', [2]);
  const [twice, thrice] = apply([x], {}) as [g.Value, g.Value];
  const at = { x: [1, 10] };

  test('both used', async () => {
    const [dx] = g.gradients(total(g.add(twice, g.mul(thrice, thrice))), [x]);
    expect(await evaluate({ dx: dx! }, at)).toEqual({ dx: [20, 182] });
  });

  test('only the second used', async () => {
    const [dx] = g.gradients(total(thrice), [x]);
    expect(await evaluate({ dx: dx! }, at)).toEqual({ dx: [3, 3] });
  });

  test('with respect to each', async () => {
    const [dTwice, dThrice] = g.gradients(total(g.mul(twice, thrice)), [twice, thrice]);
    const got = await evaluate({ dTwice: dTwice!, dThrice: dThrice!, thrice }, at);
    expect(got).toEqual({ dTwice: [3, 30], dThrice: [2, 20], thrice: [3, 30] });
  });
});
