/**
 * @file Attention from primitive ops, for towers and for training. Shapes: B batch, T tokens, H heads, K key/value heads,
 * D head width.
 */

import {
  add,
  type Dim,
  expand,
  less,
  lessOrEqual,
  matMul,
  mulDims,
  range,
  reshape,
  scalar,
  softmax,
  sub,
  transpose,
  type Value,
  where,
} from '../graph/index.ts';

/** Added to the scores of positions that must not be seen: finite, so that a row never becomes NaN. */
const MASKED = -1e9;

/** [B, T, heads·D] → [B, heads, T, D]. */
export function splitHeads(x: Value, heads: number): Value {
  const [batch, tokens, width] = x.shape as [Dim, Dim, number];
  return transpose(reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, heads, T, D] → [B, T, heads·D]. */
export function mergeHeads(x: Value): Value {
  const [batch, heads, tokens, width] = x.shape as [Dim, number, Dim, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * width]);
}

/** [B, K, T, D] → [B, K·groups, T, D], each key/value head repeated for its group of query heads. */
export function repeatKeyValueHeads(x: Value, groups: number): Value {
  if (groups === 1) return x;
  const [batch, heads, tokens, width] = x.shape as [Dim, number, Dim, number];
  const grouped = expand(reshape(x, [batch, heads, 1, tokens, width]), [batch, heads, groups, tokens, width]);
  return reshape(grouped, [batch, mulDims(heads, groups), tokens, width]);
}

/**
 * [1, 1, T, T]: 0 where the key is not after the query, and with a window less than `window` positions before it; a large
 * negative number elsewhere.
 */
export function causalMask(tokens: Dim, window?: number): Value {
  const positions = range(tokens);
  const [key, query] = [reshape(positions, [1, 1, 1, tokens]), reshape(positions, [1, 1, tokens, 1])];
  const near = window === undefined ? scalar(0) : where(less(sub(query, window), key), scalar(0), MASKED);
  return where(lessOrEqual(key, query), near, MASKED);
}

/** softmax(q·kᵀ/√D + mask)·v over [B, H, T, D]. */
export function attend(query: Value, key: Value, value: Value, mask?: Value): Value {
  const alpha = 1 / Math.sqrt(query.shape.at(-1) as number);
  const scores = matMul(query, key, { transB: true, alpha });
  return matMul(softmax(mask ? add(scores, mask) : scores), value);
}
