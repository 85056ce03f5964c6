/** @file A part of a graph on its own. */

import { expect, test } from 'vitest';
import * as g from '../../../src/graph/index.ts';

const x = g.input('x', 'f32', [g.dim('B'), 4]);
const hidden = g.matMul(x, g.param('w', [4, 4]), { transB: true });
const codes = g.quantizeRows(hidden, 8);
const y = g.mul(g.add(g.cast(codes.codes, 'f32'), codes.scale), g.scalar(2));

test('begins with the values that become inputs, and needs nothing of what makes them', () => {
  const part = g.subgraph({ h: hidden }, { y });
  expect(g.printGraph(part)).toBe(
    [
      'input h : f32[B, 4]',
      '%0 = quantizeRows(h) {"bits":8} : u8[B, 4], f32[B, 1]',
      '%1 = cast(%0) {"dtype":"f32"} : f32[B, 4]',
      '%2 = add(%1, %0.1) : f32[B, 4]',
      '%3 = mul(%2, 2) : f32[B, 4]',
      'output y = %3 : f32[B, 4]',
    ].join('\n'),
  );
});

test('what no input cuts off stays as it is', () => {
  expect(g.printGraph(g.subgraph({ unused: hidden }, { z: g.neg(x) }))).toBe(
    g.printGraph(g.buildGraph({ z: g.neg(x) })),
  );
});
