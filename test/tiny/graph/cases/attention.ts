/** @file Cases of attention over a key/value cache: the first run, which starts from an empty cache. */

import * as g from '../../../../src/graph/index.ts';
import { cachedAttention } from '../reference.ts';
import { casesOf, f32, type OpCase, type Operand, repeated, withType } from './case.ts';

/** 4 query heads over 2 key/value heads, 2 rows of 3 tokens, room for 5. */
const operands = (width: number): Operand[] => [
  f32(2, 3, 4 * width),
  f32(2, 3, 2 * width),
  f32(2, 3, 2 * width),
  f32(2, 2, 5, width),
  f32(2, 2, 5, width),
  repeated('i32', 2, 2),
  repeated('i32', 3),
  withType('f32', f32(5, width / 2)),
  withType('f32', f32(5, width / 2)),
];

/** The op with its operands in the order of the record. */
export function apply(slidingWindow: number) {
  return (...operands: g.Value[]): g.Value => {
    const [query, key, value, pastKey, pastValue, lastPosition, totalLength, cosTable, sinTable] = operands as [
      g.Value,
      g.Value,
      g.Value,
      g.Value,
      g.Value,
      g.Value,
      g.Value,
      g.Value,
      g.Value,
    ];
    const inputs = { query, key, value, past: { key: pastKey, value: pastValue }, lastPosition, totalLength };
    const attrs = { numHeads: 4, numKeyValueHeads: 2, slidingWindow };
    return g.groupQueryAttention({ ...inputs, cosTable, sinTable }, attrs).output;
  };
}

export const ATTENTION: readonly OpCase[] = casesOf(
  'groupQueryAttention',
  ['first run', operands(16), apply(-1), (...x) => cachedAttention(x, -1).output],
  ['narrow heads', operands(8), apply(-1), (...x) => cachedAttention(x, -1).output],
  ['sliding window', operands(16), apply(2), (...x) => cachedAttention(x, 2).output],
);
