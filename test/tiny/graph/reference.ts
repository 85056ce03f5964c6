/** @file Naive references of the ops, straight from their definitions, in f64. Nothing here is shared with `src/graph`. */

import { broadcast, build, get, getBroadcast, indices, mapRows, type Nd, offset } from './nd.ts';

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

/** Error function by its Taylor series: exact to 1e-12 for |x| ≤ 4. */
export function erf(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const gelu = (x: number): number => (x * (1 + erf(x / Math.SQRT2))) / 2;

export const geluTanh = (x: number): number =>
  (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;

export const unary =
  (f: (x: number) => number) =>
  (x: Nd): Nd =>
    build(x.shape, index => f(get(x, index)));

export const binary =
  (f: (a: number, b: number) => number) =>
  (a: Nd, b: Nd): Nd =>
    build(broadcast(a.shape, b.shape), index => f(getBroadcast(a, index), getBroadcast(b, index)));

export const where = (condition: Nd, a: Nd, b: Nd): Nd =>
  build(broadcast(condition.shape, a.shape, b.shape), index =>
    getBroadcast(getBroadcast(condition, index) ? a : b, index),
  );

export const reshape = (x: Nd, shape: readonly number[]): Nd => ({ shape, data: x.data });

export const transpose = (x: Nd, perm: readonly number[]): Nd =>
  build(
    perm.map(p => x.shape[p]!),
    index => {
      const source = x.shape.map(() => 0);
      for (const [axis, p] of perm.entries()) source[p] = index[axis]!;
      return get(x, source);
    },
  );

export const expand = (x: Nd, shape: readonly number[]): Nd => build(shape, index => getBroadcast(x, index));

export const slice = (x: Nd, axis: number, start: number, end: number): Nd =>
  build(x.shape.with(axis, end - start), index => get(x, index.with(axis, index[axis]! + start)));

export const pad = (x: Nd, axis: number, before: number, after: number): Nd =>
  build(x.shape.with(axis, before + x.shape[axis]! + after), index => {
    const i = index[axis]! - before;
    return i >= 0 && i < x.shape[axis]! ? get(x, index.with(axis, i)) : 0;
  });

export function concat(parts: readonly Nd[], axis: number): Nd {
  const owner = parts.flatMap(part => Array.from({ length: part.shape[axis]! }, (_, i) => ({ part, i })));
  return build(parts[0]!.shape.with(axis, owner.length), index => {
    const { part, i } = owner[index[axis]!]!;
    return get(part, index.with(axis, i));
  });
}

export const range = (length: number): Nd => build([length], ([i]) => i!);
export const fill = (value: number, shape: readonly number[]): Nd => build(shape, () => value);

export function gather(x: Nd, index: Nd, axis: number): Nd {
  const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)];
  return build(shape, at => {
    const picked = get(index, at.slice(axis, axis + index.shape.length));
    const resolved = picked < 0 ? picked + x.shape[axis]! : picked;
    return get(x, [...at.slice(0, axis), resolved, ...at.slice(axis + index.shape.length)]);
  });
}

export const gatherElements = (x: Nd, index: Nd, axis: number): Nd =>
  build(index.shape, at => get(x, at.with(axis, get(index, at))));

export function scatterAdd(x: Nd, index: Nd, updates: Nd, axis: number): Nd {
  const data = x.data.slice();
  for (const at of indices(index.shape)) data[offset(x.shape, at.with(axis, get(index, at)))]! += get(updates, at);
  return { shape: x.shape, data };
}

/** `f` of the elements along `axes` at each place of the other axes. */
export function reduce(x: Nd, axes: readonly number[], keepDims: boolean, f: (values: number[]) => number): Nd {
  const kept = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const inner = x.shape.map((length, axis) => (axes.includes(axis) ? length : 1));
  const result = build(kept, at =>
    f(
      [...indices(inner)].map(step =>
        get(
          x,
          at.map((i, axis) => i + step[axis]!),
        ),
      ),
    ),
  );
  return keepDims
    ? result
    : reshape(
        result,
        x.shape.filter((_, axis) => !axes.includes(axis)),
      );
}

export const reduceSum = sum;
export const reduceMean = mean;
export const reduceMax = (values: number[]): number => Math.max(...values);
export const reduceSumSquare = (values: number[]): number => sum(values.map(v => v * v));
export const argMax = (x: Nd, axis: number): Nd =>
  reduce(x, [axis], false, values => values.indexOf(Math.max(...values)));

export interface MatMulFlags {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}

export function matMul(a: Nd, b: Nd, { transA = false, transB = false, alpha = 1 }: MatMulFlags = {}): Nd {
  const flip = (x: Nd) => transpose(x, [...x.shape.keys()].toSpliced(-2, 2, x.shape.length - 1, x.shape.length - 2));
  const [left, right] = [transA ? flip(a) : a, transB ? flip(b) : b];
  const inner = left.shape.at(-1)!;
  const batch = broadcast(left.shape.slice(0, -2), right.shape.slice(0, -2));
  return build([...batch, left.shape.at(-2)!, right.shape.at(-1)!], index => {
    const [row, column] = index.slice(-2) as [number, number];
    const outer = index.slice(0, -2);
    let dot = 0;
    for (let k = 0; k < inner; k++) {
      dot += getBatched(left, outer, row, k) * getBatched(right, outer, k, column);
    }
    return alpha * dot;
  });
}

/** Like `getBroadcast`, but only the batch axes broadcast. */
function getBatched(x: Nd, batch: readonly number[], row: number, column: number): number {
  const lengths = x.shape.slice(0, -2);
  const own = batch.slice(batch.length - lengths.length).map((i, axis) => (lengths[axis] === 1 ? 0 : i));
  return get(x, [...own, row, column]);
}

export const softmax = (x: Nd): Nd =>
  mapRows(x, row => {
    const exponentials = row.map(v => Math.exp(v - Math.max(...row)));
    return exponentials.map(e => e / sum(exponentials));
  });

export const logSoftmax = (x: Nd): Nd => unary(Math.log)(softmax(x));

export const crossEntropy = (logits: Nd, target: Nd): Nd =>
  build(target.shape, ([row]) => -get(logSoftmax(logits), [row!, get(target, [row!])]));

export const layerNorm = (x: Nd, weight: Nd, bias: Nd, epsilon: number): Nd =>
  mapRows(x, row => {
    const variance = mean(row.map(v => (v - mean(row)) ** 2));
    return row.map((v, i) => ((v - mean(row)) / Math.sqrt(variance + epsilon)) * weight.data[i]! + bias.data[i]!);
  });

export const rmsNorm = (x: Nd, weight: Nd, epsilon: number): Nd =>
  mapRows(x, row => row.map((v, i) => (v / Math.sqrt(mean(row.map(u => u * u)) + epsilon)) * weight.data[i]!));

/** Rotates the pair (x[i], x[i + D/2]) of x [B, H, T, D] by the angle whose cos and sin stand at its position. */
export function rotary(x: Nd, positions: Nd, cosTable: Nd, sinTable: Nd): Nd {
  const half = x.shape[3]! / 2;
  return build(x.shape, ([b, h, t, d]) => {
    const at = [get(positions, [b!, t!]), d! % half];
    const [cos, sin] = [get(cosTable, at), get(sinTable, at)];
    const partner = get(x, [b!, h!, t!, (d! + half) % (2 * half)]);
    return get(x, [b!, h!, t!, d!]) * cos + (d! < half ? -partner : partner) * sin;
  });
}

/** What attention over a cache gives; NaN for tokens after their row's last position, which are padding. */
export interface CachedAttention {
  readonly output: Nd;
  readonly key: Nd;
  readonly value: Nd;
}

/**
 * Attention of the new tokens to the cache and to themselves, a sum at a time.
 * @param operands query [B, T, H·D], key and value [B, T, K·D], past key and value [B, K, P, D], last position [B], total
 * length [], cos and sin tables [P, D/2]. Rows start at position 0 in a first run (total length T), else T before their end.
 * @param window positions seen, the token's own included; −1 for all
 */
export function cachedAttention(operands: readonly Nd[], window: number): CachedAttention {
  const [query, key, value, pastKey, pastValue, last, total, cosTable, sinTable] = operands as [
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
  const tokens = query.shape[1]!;
  const start = (row: number) => (total.data[0] === tokens ? 0 : last.data[row]! + 1 - tokens);
  const positions = build(query.shape.slice(0, 2), ([row, t]) => start(row!) + t!);
  const width = pastKey.shape[3]!;
  const clamped = unary(p => Math.min(p, cosTable.shape[0]! - 1))(positions);
  const rotated = (x: Nd) => rotary(splitHeads(x, width), clamped, cosTable, sinTable);
  const append = (past: Nd, fresh: Nd) =>
    build(past.shape, ([row, head, p, d]) => {
      const t = p! - start(row!);
      if (t < 0 || t >= tokens) return get(past, [row!, head!, p!, d!]);
      return p! > last.data[row!]! ? Number.NaN : get(fresh, [row!, head!, t, d!]);
    });
  const [keys, values] = [append(pastKey, rotated(key)), append(pastValue, splitHeads(value, width))];
  const queries = rotated(query);
  const group = queries.shape[1]! / keys.shape[1]!;
  const output = build(query.shape, ([row, t, column]) => {
    const [head, d] = [Math.floor(column! / width), column! % width];
    const position = get(positions, [row!, t!]);
    if (position > last.data[row!]!) return Number.NaN;
    const first = window < 0 ? 0 : Math.max(0, position - window + 1);
    const seen = Array.from({ length: position - first + 1 }, (_, i) => first + i);
    const kv = Math.floor(head / group);
    const weights = softmax({ shape: [seen.length], data: Float64Array.from(seen, p => dot(p)) }).data;
    return sum(seen.map((p, i) => weights[i]! * get(values, [row!, kv, p, d])));

    function dot(p: number): number {
      const terms = Array.from(
        { length: width },
        (_, i) => get(queries, [row!, head, t!, i]) * get(keys, [row!, kv, p, i]),
      );
      return sum(terms) / Math.sqrt(width);
    }
  });
  return { output, key: keys, value: values };
}

/** [B, T, H·D] → [B, H, T, D]. */
const splitHeads = (x: Nd, width: number): Nd =>
  build([x.shape[0]!, x.shape[2]! / width, x.shape[1]!, width], ([b, h, t, d]) => get(x, [b!, t!, h! * width + d!]));

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(x);
}

/** max|row|/levels, in f32 as a kernel would find it. */
const stepOf = (row: readonly number[], levels: number): number =>
  Math.fround(Math.max(...row.map(Math.abs)) * Math.fround(1 / levels));

/** Whole multiples of `step` in f32. */
const multiples = (row: readonly number[], step: number): number[] =>
  row.map(v => roundHalfEven(Math.fround(v / step)));

export const byteRows = (x: Nd): Nd => unary(q => q + 128)(mapRows(x, row => multiples(row, stepOf(row, 127))));

/** x/s ≈ 256·high + low, low from −128 to 127: the high bytes of all rows, then the low ones. */
export function twoByteRows(x: Nd): Nd {
  const step = (row: readonly number[]): number => stepOf(row, 127 * 256);
  const high = mapRows(x, row => multiples(row, 256 * step(row)));
  const low = mapRows(x, row => {
    const rest = multiples(row, 256 * step(row)).map((h, k) => Math.fround(row[k]! - Math.fround(h * 256 * step(row))));
    return multiples(rest, step(row)).map(l => Math.min(l, 127));
  });
  return unary(v => v + 128)(concat([high, low], 0));
}

export const integerMatMul = (codes: Nd, weight: Nd, scale: Nd): Nd =>
  build([codes.shape[0]!, weight.shape[1]!], ([row, column]) =>
    sum(
      Array.from(
        { length: weight.shape[0]! },
        (_, k) => (get(codes, [row!, k]) - 128) * get(weight, [k, column!]) * get(scale, [column!]),
      ),
    ),
  );

/** Codes are packed along a row's inputs, the first of two in the low half of a byte. */
export function blockMatMul(x: Nd, packed: Nd, scale: Nd, bits: 4 | 8, zero?: Nd): Nd {
  const perByte = 8 / bits;
  const field = (byte: number, i: number): number => Math.floor(byte / 2 ** (bits * (i % perByte))) % 2 ** bits;
  const blockSize = packed.shape[2]! * perByte;
  const weight = (row: number, k: number): number => {
    const [block, within] = [Math.floor(k / blockSize), k % blockSize];
    const byte = get(packed, [row, block, Math.floor(within / perByte)]);
    const origin = zero ? field(get(zero, [row, Math.floor(block / perByte)]), block) : 2 ** (bits - 1);
    return (field(byte, within) - origin) * get(scale, [row, block]);
  };
  const [lead, width] = [x.shape.slice(0, -1), x.shape.at(-1)!];
  return build([...lead, packed.shape[0]!], index =>
    sum(Array.from({ length: width }, (_, k) => get(x, [...index.slice(0, -1), k]) * weight(index.at(-1)!, k))),
  );
}
