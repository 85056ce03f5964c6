/** @file Dimensions as polynomials: laws of arithmetic, shapes inferred with them, and their values when a graph runs. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostTensor } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';
import { compileOutputs, run } from './harness.ts';

const NAMES = ['B', 'P', 'T'] as const;
const [B, P, T] = NAMES.map(g.dim) as [g.Dim, g.Dim, g.Dim];

const monomial = fc.tuple(fc.integer({ min: -3, max: 3 }), fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }));
/** Sums of products of names, built with the functions under test. */
const polynomial = fc
  .array(monomial, { maxLength: 4 })
  .map(terms => terms.map(([count, names]) => names.map(g.dim).reduce(g.mulDims, count)).reduce(g.addDims, 0));
const sizes = fc.record({ B: fc.nat(9), P: fc.nat(9), T: fc.nat(9) });

describe('arithmetic', () => {
  test('agrees with that of numbers', () => {
    fc.assert(
      fc.property(polynomial, polynomial, sizes, (a, b, at) => {
        const [x, y] = [g.evaluateDim(a, at), g.evaluateDim(b, at)];
        expect(g.evaluateDim(g.addDims(a, b), at) === x + y).toBe(true);
        expect(g.evaluateDim(g.subDims(a, b), at) === x - y).toBe(true);
        expect(g.evaluateDim(g.mulDims(a, b), at) === x * y).toBe(true);
      }),
    );
  });

  test('commutes, associates and distributes', () => {
    fc.assert(
      fc.property(polynomial, polynomial, polynomial, (a, b, c) => {
        const same = (x: g.Dim, y: g.Dim) => expect(g.sameDim(x, y), `${x} and ${y}`).toBe(true);
        same(g.addDims(a, b), g.addDims(b, a));
        same(g.mulDims(a, b), g.mulDims(b, a));
        same(g.addDims(g.addDims(a, b), c), g.addDims(a, g.addDims(b, c)));
        same(g.mulDims(g.mulDims(a, b), c), g.mulDims(a, g.mulDims(b, c)));
        same(g.mulDims(a, g.addDims(b, c)), g.addDims(g.mulDims(a, b), g.mulDims(a, c)));
        same(g.subDims(g.addDims(a, b), b), a);
        same(g.mulDims(a, 1), a);
        same(g.mulDims(a, 0), 0);
        same(g.subDims(a, a), 0);
      }),
    );
  });

  test('different polynomials are different dimensions', () => {
    const grid = [0, 1, 2, 3].flatMap(b => [0, 1, 2, 3].flatMap(p => [0, 1, 2, 3].map(t => ({ B: b, P: p, T: t }))));
    fc.assert(
      fc.property(polynomial, polynomial, (a, b) => {
        const agree = grid.every(at => g.evaluateDim(a, at) === g.evaluateDim(b, at));
        expect(g.sameDim(a, b)).toBe(agree);
      }),
    );
  });

  test('a dimension without names is a number', () => {
    expect(g.addDims(g.subDims(T, T), 4)).toBe(4);
  });

  test('names', () => {
    expect(String(g.addDims(g.mulDims(2, T), 1))).toBe('2*T+1');
    expect(String(g.addDims(g.mulDims(T, B), P))).toBe('P+B*T');
    expect(g.dimSymbols(g.addDims(g.mulDims(T, B), T)).toSorted()).toEqual(['B', 'T']);
    expect([T, g.mulDims(2, T), g.mulDims(B, T), 3].map(g.bareSymbol)).toEqual(['T', undefined, undefined, undefined]);
    expect(() => g.dim('2x')).toThrow('internal: dim: expected an identifier, got 2x');
    expect(() => g.evaluateDim(g.addDims(P, T), { P: 1 })).toThrow('internal: evaluateDim: no size for T in T+P');
  });
});

describe('inference', () => {
  const x = g.input('x', 'f32', [B, T, 6]);
  const shape = (value: g.Value) => g.formatShape(value.shape);

  test('reshape keeps the size', () => {
    expect(shape(g.reshape(x, [g.mulDims(B, T), 2, 3]))).toBe('[B*T, 2, 3]');
    expect(() => g.reshape(x, [g.mulDims(B, T), 5])).toThrow('internal: reshape');
    expect(g.reshape(x, [B, T, 6])).toBe(x);
  });

  test('concat adds and slice subtracts', () => {
    const past = g.input('past', 'f32', [B, P, 6]);
    const all = g.concat([past, x, g.fill(0, [B, 1, 6])], 1);
    expect(shape(all)).toBe('[B, T+P+1, 6]');
    expect(shape(g.slice(all, 1, P, g.addDims(P, T)))).toBe('[B, T, 6]');
    expect(shape(g.pad(g.slice(x, 1, 1, T), 1, 1, 0))).toBe('[B, T, 6]');
  });

  test('broadcasting never takes one name for another', () => {
    expect(shape(g.add(x, g.input('y', 'f32', [T, 1])))).toBe('[B, T, 6]');
    expect(() => g.add(x, g.input('y', 'f32', [B, 1]))).toThrow('internal: add');
  });
});

test('computed sizes at run time', async () => {
  const dims = [
    T,
    g.mulDims(B, T),
    g.addDims(P, T),
    g.addDims(g.mulDims(2, T), 1),
    g.subDims(g.mulDims(g.addDims(P, T), g.addDims(P, T)), g.mulDims(P, P)),
    g.addDims(g.subDims(g.mulDims(B, g.mulDims(B, 3)), B), 7),
  ];
  const outputs = dims.map((d, i) => [`y${i}`, g.range(d)] as const);
  const x = g.input('x', 'f32', [B, P]);
  const y = g.input('y', 'f32', [2, T, P]);
  using executable = await compileOutputs({ ...Object.fromEntries(outputs), negX: g.neg(x), negY: g.neg(y) });
  for (const at of [
    { B: 1, P: 4, T: 2 },
    { B: 3, P: 0, T: 5 },
    { B: 2, P: 3, T: 0 },
  ]) {
    const feeds = { x: hostTensor('f32', [at.B, at.P]), y: hostTensor('f32', [2, at.T, at.P]) };
    const got = await run(executable, feeds);
    expect(dims.map((_, i) => got[`y${i}`]!.shape[0])).toEqual(dims.map(d => g.evaluateDim(d, at)));
  }
});
