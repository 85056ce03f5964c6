/** @file Cases of the ops that move, pick and place elements. */

import * as g from '../../../../src/graph/index.ts';
import * as r from '../reference.ts';
import { B, bools, casesOf, f32, integers, type OpCase, T, withType } from './case.ts';

const total = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const reshape = casesOf(
  'reshape',
  ['numbers', [f32(2, 6)], x => g.reshape(x, [3, 4]), x => r.reshape(x, [3, 4])],
  ['to a scalar', [f32(1, 1)], x => g.reshape(x, []), x => r.reshape(x, [])],
  ['from a scalar', [f32()], x => g.reshape(x, [1, 1]), x => r.reshape(x, [1, 1])],
  ['empty, zero elsewhere', [f32(2, 0)], x => g.reshape(x, [0, 5]), x => r.reshape(x, [0, 5])],
  ['a named size beside zero', [f32(B, 0)], x => g.reshape(x, [0, B, 2]), x => r.reshape(x, [0, x.shape[0]!, 2])],
  ['empty, zero last', [f32(0, 2)], x => g.reshape(x, [3, 0]), x => r.reshape(x, [3, 0])],
  ['split by numbers', [f32(B, 6)], x => g.reshape(x, [B, 2, 3]), x => r.reshape(x, [x.shape[0]!, 2, 3])],
  ['rows joined', [f32(B, T, 4)], x => g.reshape(x, [g.mulDims(B, T), 4]), x => r.reshape(x, [total(x.shape) / 4, 4])],
  [
    'two named sizes, heads split',
    [f32(B, T, 4)],
    x => g.reshape(x, [B, T, 2, 2]),
    x => r.reshape(x, [x.shape[0]!, x.shape[1]!, 2, 2]),
  ],
  [
    'named sizes that may be zero swap places',
    [f32(B, T, 2)],
    x => g.reshape(x, [T, 2, B]),
    x => r.reshape(x, [x.shape[1]!, 2, x.shape[0]!]),
  ],
);

const transpose = casesOf(
  'transpose',
  ['matrix', [f32(2, 3)], x => g.transpose(x, [1, 0]), x => r.transpose(x, [1, 0])],
  ['a cycle of three axes', [f32(2, 3, 4)], x => g.transpose(x, [2, 0, 1]), x => r.transpose(x, [2, 0, 1])],
  ['heads', [f32(B, T, 2, 2)], x => g.transpose(x, [0, 2, 1, 3]), x => r.transpose(x, [0, 2, 1, 3])],
  ['integers', [integers(9, 2, 3)], x => g.transpose(x, [1, 0]), x => r.transpose(x, [1, 0])],
);

const expand = casesOf(
  'expand',
  ['one axis', [f32(2, 1)], x => g.expand(x, [2, 3]), x => r.expand(x, [2, 3])],
  ['new axes', [f32(3)], x => g.expand(x, [4, 2, 3]), x => r.expand(x, [4, 2, 3])],
  ['scalar', [f32()], x => g.expand(x, [2, 2]), x => r.expand(x, [2, 2])],
  ['to nothing', [f32(1, 2)], x => g.expand(x, [0, 2]), x => r.expand(x, [0, 2])],
  ['named sizes', [f32(B, 1, T)], x => g.expand(x, [B, 2, T]), x => r.expand(x, [x.shape[0]!, 2, x.shape[2]!])],
);

const slice = casesOf(
  'slice',
  ['middle', [f32(2, 5)], x => g.slice(x, 1, 1, 4), x => r.slice(x, 1, 1, 4)],
  ['negative axis', [f32(4, 2)], x => g.slice(x, -2, 2, 4), x => r.slice(x, 0, 2, 4)],
  ['nothing', [f32(3, 2)], x => g.slice(x, 0, 1, 1), x => r.slice(x, 0, 1, 1)],
  [
    'second half of a named size',
    [f32(g.mulDims(2, B), T), f32(B)],
    x => g.slice(x, 0, B, g.mulDims(2, B)),
    x => r.slice(x, 0, x.shape[0]! / 2, x.shape[0]!),
  ],
  [
    'all but the first',
    [f32(B, T)],
    x => g.slice(x, 1, 1, T),
    x => r.slice(x, 1, 1, x.shape[1]!),
    [
      { B: 2, T: 3 },
      { B: 1, T: 1 },
    ],
  ],
);

const pad = casesOf(
  'pad',
  ['both sides', [f32(2, 3)], x => g.pad(x, 1, 2, 1), x => r.pad(x, 1, 2, 1)],
  ['negative axis', [f32(2, 3)], x => g.pad(x, -2, 0, 2), x => r.pad(x, 0, 0, 2)],
  ['nothing to pad', [f32(0, 2)], x => g.pad(x, 0, 1, 1), x => r.pad(x, 0, 1, 1)],
  ['by a named size', [f32(B, T)], x => g.pad(x, 1, B, T), x => r.pad(x, 1, x.shape[0]!, x.shape[1]!)],
  ['integers', [integers(9, 2)], x => g.pad(x, 0, 1, 0), x => r.pad(x, 0, 1, 0)],
);

const concat = casesOf(
  'concat',
  ['two', [f32(2, 3), f32(1, 3)], (a, b) => g.concat([a, b], 0), (a, b) => r.concat([a, b], 0)],
  ['three, negative axis', [f32(2, 1), f32(2, 0), f32(2, 2)], (...x) => g.concat(x, -1), (...x) => r.concat(x, 1)],
  ['named sizes', [f32(B, T, 2), f32(B, 1, 2)], (a, b) => g.concat([a, b], 1), (a, b) => r.concat([a, b], 1)],
  ['one value twice', [f32(B, 2)], x => g.concat([x, x], 1), x => r.concat([x, x], 1)],
);

const generators = [
  ...casesOf(
    'range',
    ['number', [], () => g.range(5), () => r.range(5)],
    ['nothing', [], () => g.range(0), () => r.range(0)],
    ['2T + 1', [f32(T)], () => g.range(g.addDims(g.mulDims(2, T), 1)), x => r.range(2 * x.shape[0]! + 1)],
  ),
  ...casesOf(
    'fill',
    ['numbers', [], () => g.fill(1.5, [2, 3]), () => r.fill(1.5, [2, 3])],
    ['scalar', [], () => g.fill(-1, []), () => r.fill(-1, [])],
    ['nothing', [], () => g.fill(1, [0, 2]), () => r.fill(1, [0, 2])],
    ['named sizes', [f32(B, T)], () => g.fill(2, [T, 1, B]), x => r.fill(2, [x.shape[1]!, 1, x.shape[0]!])],
  ),
];

const byRows = (x: g.Value, index: g.Value) => g.gather(x, index);
const gather = casesOf(
  'gather',
  ['rows, repeated', [f32(3, 2), integers(3, 5)], byRows, (x, i) => r.gather(x, i, 0)],
  ['by a matrix', [f32(4, 2), integers(4, B, T)], byRows, (x, i) => r.gather(x, i, 0)],
  ['by a scalar', [f32(4, 2), integers(4)], byRows, (x, i) => r.gather(x, i, 0)],
  ['inner axis', [f32(2, 3, 2), integers(3, 2, 2)], (x, i) => g.gather(x, i, 1), (x, i) => r.gather(x, i, 1)],
  ['negative axis', [f32(B, 4), integers(4, 3)], (x, i) => g.gather(x, i, -1), (x, i) => r.gather(x, i, 1)],
  [
    'negative indices',
    [f32(3, 2), { ...integers(3, 4), draw: rng => rng.int(6) - 3 }],
    byRows,
    (x, i) => r.gather(x, i, 0),
  ],
  ['i32 indices', [f32(3, 2), withType('i32', integers(3, 4))], byRows, (x, i) => r.gather(x, i, 0)],
  ['no indices', [f32(3, 2), integers(3, 0)], byRows, (x, i) => r.gather(x, i, 0)],
  ['of bools', [bools(4), integers(4, 3)], byRows, (x, i) => r.gather(x, i, 0)],
);

const elements = [
  ...casesOf(
    'gatherElements',
    ['rows', [f32(3, 2), integers(3, 4, 2)], (x, i) => g.gatherElements(x, i, 0), (x, i) => r.gatherElements(x, i, 0)],
    [
      'part of the other axis',
      [f32(3, 4), integers(4, 2, 3)],
      (x, i) => g.gatherElements(x, i, -1),
      (x, i) => r.gatherElements(x, i, 1),
    ],
    [
      'named sizes',
      [f32(B, 4), integers(4, B, T)],
      (x, i) => g.gatherElements(x, i, 1),
      (x, i) => r.gatherElements(x, i, 1),
    ],
  ),
  ...casesOf(
    'scatterAdd',
    [
      'repeated indices add up',
      [f32(2, 3), integers(2, 5, 3), f32(5, 3)],
      (x, i, u) => g.scatterAdd(x, i, u, 0),
      (x, i, u) => r.scatterAdd(x, i, u, 0),
    ],
    [
      'part of the other axis',
      [f32(3, 4), integers(4, 2, 3), f32(2, 3)],
      (x, i, u) => g.scatterAdd(x, i, u, -1),
      (x, i, u) => r.scatterAdd(x, i, u, 1),
    ],
    [
      'named sizes',
      [f32(B, 4), integers(4, B, T), f32(B, T)],
      (x, i, u) => g.scatterAdd(x, i, u, 1),
      (x, i, u) => r.scatterAdd(x, i, u, 1),
    ],
  ),
];

export const MOVEMENT: readonly OpCase[] = [
  ...reshape,
  ...transpose,
  ...expand,
  ...slice,
  ...pad,
  ...concat,
  ...generators,
  ...gather,
  ...elements,
];
