/** @file A finished graph: what verify refuses, and its text form. */

import { describe, expect, test } from 'vitest';
import { f32Tensor, i64Tensor } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';

const [B, T] = [g.dim('B'), g.dim('T')];
const x = g.input('x', 'f32', [B, 4]);
const w = g.param('w', [3, 4]);
const y = g.matMul(x, w, { transB: true });

describe('verify', () => {
  const good = g.buildGraph({ y });

  test('accepts what buildGraph makes', () => {
    expect(() => g.verify(good)).not.toThrow();
  });

  test('two inputs of one name', () => {
    const other = g.input('x', 'f32', [B, 4]);
    expect(() => g.buildGraph({ y: g.add(x, other) })).toThrow('names of inputs, parameters or outputs repeat: x');
  });

  test('a parameter named like an input', () => {
    expect(() => g.buildGraph({ y: g.add(x, g.param('x', [4])) })).toThrow('repeat: x');
  });

  test('an output named like an input that it is not', () => {
    expect(() => g.buildGraph({ x: g.neg(x) })).toThrow('repeat: x');
    expect(() => g.buildGraph({ w: x, y })).toThrow('repeat: w');
  });

  test('a name like those of inner values', () => {
    expect(() => g.buildGraph({ '%1': y })).toThrow('the name %1 starts with %');
  });

  test('a value whose type is not what its op gives', () => {
    const wrong = { ...y, shape: [B, 5] };
    expect(() => g.buildGraph({ z: g.neg(wrong) })).toThrow('f32[B, 5], but matMul gives f32[B, 3]');
    expect(() => g.buildGraph({ z: wrong })).toThrow('f32[B, 5], but matMul gives f32[B, 3]');
    expect(() => g.buildGraph({ z: { ...y, dtype: 'i64' } })).toThrow('i64[B, 3], but matMul gives f32[B, 3]');
  });

  test('a size that no input shows', () => {
    expect(() => g.buildGraph({ z: g.fill(0, [T]) })).toThrow('has the size T, which no graph input shows');
    const hidden = g.input('hidden', 'f32', [g.mulDims(2, T)]);
    expect(() => g.buildGraph({ z: g.concat([hidden, hidden], 0) })).toThrow('has the size T');
  });

  test('an unknown op', () => {
    const node = { ...y.node, op: 'nonsense' } as typeof y.node;
    expect(() => g.buildGraph({ z: { ...y, node } })).toThrow('internal: verify: unknown op nonsense');
  });

  test('nodes out of order, or missing', () => {
    const two = g.buildGraph({ z: g.neg(y) });
    expect(() => g.verify({ ...two, nodes: two.nodes.toReversed() })).toThrow('reads a value that comes later');
    expect(() => g.verify({ ...two, nodes: two.nodes.slice(1) })).toThrow('reads a value that comes later');
    expect(() => g.verify({ ...two, nodes: two.nodes.slice(0, 1) })).toThrow('output z is no node of the graph');
  });
});

test('buildGraph keeps only what the outputs need', () => {
  const unused = g.neg(g.input('unused', 'f32', [2]));
  const graph = g.buildGraph({ y, z: g.add(y, 1) });
  expect(graph.inputs.map(p => p.name)).toEqual(['x']);
  expect(graph.params.map(p => p.name)).toEqual(['w']);
  expect(graph.nodes).not.toContain(unused.node);
  expect(graph.outputs.map(p => p.name)).toEqual(['y', 'z']);
});

test('printGraph', () => {
  const ids = g.input('ids', 'i64', [B, T]);
  const table = g.param('table', [10, 4]);
  const h = g.rmsNorm(g.gather(table, ids), g.param('norm', [4]), 1e-6);
  const scaled = g.mul(g.matMul(h, w, { transB: true }), 0.5);
  const last = g.slice(g.reshape(scaled, [g.mulDims(B, T), 3]), 0, 1, g.mulDims(B, T));
  const shifted = g.add(last, g.constant(f32Tensor([3], [1, 2, 3])));
  const picked = g.gather(shifted, g.constant(i64Tensor([], [0])));
  expect(g.printGraph(g.buildGraph({ picked, half: g.mul(g.cast(picked, 'f16'), 0.5) }))).toMatchInlineSnapshot(`
    "input ids : i64[B, T]
    param w : f32[3, 4]
    param table : f32[10, 4]
    param norm : f32[4]
    %0 = gather(table, ids) {"axis":0} : f32[B, T, 4]
    %1 = rmsNorm(%0, norm) {"epsilon":0.000001} : f32[B, T, 4]
    %2 = matMul(%1, w) {"transA":false,"transB":true,"alpha":1} : f32[B, T, 3]
    %3 = mul(%2, 0.5) : f32[B, T, 3]
    %4 = reshape(%3) {"shape":["B*T",3]} : f32[B*T, 3]
    %5 = slice(%4) {"axis":0,"start":1,"end":"B*T"} : f32[B*T-1, 3]
    %6 = add(%5, const f32[3]) : f32[B*T-1, 3]
    %7 = gather(%6, 0) {"axis":0} : f32[3]
    %8 = cast(%7) {"dtype":"f16"} : f16[3]
    %9 = mul(%8, 0.5) : f16[3]
    output picked = %7 : f32[3]
    output half = %9 : f16[3]"
  `);
});
