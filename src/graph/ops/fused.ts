/** @file Ops for inference only: ONNX Runtime kernels that training never uses. */

import { mulDims, sameDim, sameShape } from '../dim.ts';
import { defineOp, type EmitContext, expectOperands } from '../op.ts';
import type { TensorType, Value } from '../value.ts';
import { ONNX_DTYPE } from './elementwise.ts';

const MICROSOFT = 'com.microsoft';

interface GroupQueryAttentionAttrs {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  /** Positions that a token sees, its own included; -1 for all before it. */
  readonly slidingWindow: number;
}

const applyGroupQueryAttention = defineOp<GroupQueryAttentionAttrs>({
  name: 'groupQueryAttention',
  formula:
    'softmax(rot(q)·rot([past k, k])ᵀ/√d + causal)·[past v, v]; the new keys and values are appended to the past',
  infer: (inputs, attrs) => {
    const [query, , , pastKey] = inputs as [TensorType, TensorType, TensorType, TensorType];
    expectOperands(
      query.shape.length === 3 && pastKey.shape.length === 4 && operandsFit(inputs, attrs),
      'groupQueryAttention',
      `query [B, T, ${attrs.numHeads}·D], keys and values [B, T, ${attrs.numKeyValueHeads}·D] and past ones ` +
        `[B, ${attrs.numKeyValueHeads}, P, D], D a multiple of 8, i32 [B] and [], tables [P, D/2], all of one type but for past ones, that or f16`,
      inputs,
    );
    const present = { dtype: pastKey.dtype, shape: pastKey.shape };
    return [{ dtype: query.dtype, shape: query.shape }, present, present];
  },
  grad: 'not differentiable',
  emit: c => {
    const { numHeads, numKeyValueHeads, slidingWindow } = c.attrs;
    const { dtype, shape } = c.inputTypes[3]!;
    const rounds = dtype !== c.inputTypes[0]!.dtype;
    const rotatesInside = !rounds && (shape[3] as number) % ROTATED_WIDTH === 0;
    const attributes = {
      num_heads: numHeads,
      kv_num_heads: numKeyValueHeads,
      do_rotary: rotatesInside ? 1 : 0,
      local_window_size: slidingWindow,
    };
    const inputs = rotatesInside ? c.inputs : rotatedBefore(c);
    if (!rounds)
      return void c.node('GroupQueryAttention', inputs, { domain: MICROSOFT, attributes, outputs: c.outputs });
    const halves = inputs.map((x, i) => (i < 3 ? castTo(c, x, 'f16') : x));
    const outputs = [`${c.outputs[0]}:half`, ...c.outputs.slice(1)];
    c.node('GroupQueryAttention', halves, { domain: MICROSOFT, attributes, outputs });
    c.node('Cast', outputs.slice(0, 1), { attributes: { to: ONNX_DTYPE.f32 }, outputs: c.outputs.slice(0, 1) });
  },
});

/** ONNX Runtime's kernel rotates only heads whose width is a multiple of this. */
const ROTATED_WIDTH = 16;

const castTo = (c: EmitContext<object>, x: string, dtype: 'f16' | 'i64'): string =>
  c.node('Cast', [x], { attributes: { to: ONNX_DTYPE[dtype] } });

/** The kernel's inputs without its tables, query and key rotated by nodes of their own. */
function rotatedBefore(c: EmitContext<GroupQueryAttentionAttrs>): string[] {
  const positions = rowPositions(c);
  const tables = c.inputs.slice(7);
  const rotated = c.inputs
    .slice(0, 2)
    .map(x => c.node('RotaryEmbedding', [x, positions, ...tables], { domain: MICROSOFT }));
  return [...rotated, ...c.inputs.slice(2, 7)];
}

/** i64 [B, T], as the kernel counts: token t stands at t in a first run, else at lastPosition + 1 − T + t. */
function rowPositions(c: EmitContext<GroupQueryAttentionAttrs>): string {
  const [zero, one] = [c.scalar(0, 'i64'), c.scalar(1, 'i64')];
  const tokens = c.node('Squeeze', [c.dims([c.inputTypes[0]!.shape[1]!])]);
  const [last, total] = c.inputs.slice(5, 7).map(x => castTo(c, x, 'i64')) as [string, string];
  const past = c.node('Sub', [c.node('Add', [last, one]), tokens]);
  const start = c.node('Where', [c.node('Equal', [total, tokens]), zero, past]);
  return c.node('Add', [c.node('Unsqueeze', [start, c.ints([1])]), c.node('Range', [zero, tokens, one])]);
}

/** The kernel's conditions, given a query and past keys of the right ranks. */
function operandsFit(inputs: readonly TensorType[], { numHeads, numKeyValueHeads }: GroupQueryAttentionAttrs): boolean {
  const shapes = inputs.map(x => x.shape);
  const [batch, tokens, queryWidth] = shapes[0]!;
  const [, , room, width] = shapes[3]!;
  const fresh = [batch!, tokens!, mulDims(numKeyValueHeads, width!)];
  const past = [batch!, numKeyValueHeads, room!, width!];
  const dtypes = inputs.map(x => x.dtype);
  return (
    typeof width === 'number' &&
    width % 8 === 0 &&
    sameDim(queryWidth!, numHeads * width) &&
    numHeads % numKeyValueHeads === 0 &&
    [1, 2].every(i => sameShape(shapes[i]!, fresh)) &&
    [3, 4].every(i => sameShape(shapes[i]!, past)) &&
    sameShape(shapes[5]!, [batch!]) &&
    sameShape(shapes[6]!, []) &&
    [7, 8].every(i => shapes[i]!.length === 2 && shapes[i]![1] === width / 2) &&
    dtypes[3] === dtypes[4] &&
    dtypes.every((dtype, i) => {
      if (i === 3 || i === 4) return dtype === dtypes[0] || dtype === 'f16';
      return dtype === (i === 5 || i === 6 ? 'i32' : dtypes[0]);
    })
  );
}

/** Keys and values of one layer, [B, KV, P, D] with room for P positions. */
export interface KeyValuePair {
  readonly key: Value;
  readonly value: Value;
}

/** Operands of {@link groupQueryAttention}. */
export interface GroupQueryAttentionInputs {
  /** [B, T, H·D], not rotated */
  readonly query: Value;
  /** [B, T, KV·D], not rotated */
  readonly key: Value;
  /** [B, T, KV·D] */
  readonly value: Value;
  /** Buffers bound as past and as present: the kernel writes the new positions in place. */
  readonly past: KeyValuePair;
  /** i32 [B]: valid positions after this run, minus one. */
  readonly lastPosition: Value;
  /** i32 scalar: the largest number of valid positions after this run. */
  readonly totalLength: Value;
  /** [P, D/2] */
  readonly cosTable: Value;
  readonly sinTable: Value;
}

/**
 * Causal attention with rotary embedding over a key/value cache; returns the output [B, T, H·D] and the new cache. A first
 * run (totalLength = T) may have rows of different length, padded on the right; after it several tokens at once are only
 * possible with one row. D must be a multiple of 8. A cache of f16 has queries, keys and values rounded to f16, after they
 * are rotated. These are limits of ONNX Runtime 1.30's CPU kernel.
 */
export function groupQueryAttention(
  inputs: GroupQueryAttentionInputs,
  attrs: GroupQueryAttentionAttrs,
): { output: Value; present: KeyValuePair } {
  const { query, key, value, past, lastPosition, totalLength, cosTable, sinTable } = inputs;
  const operands = [query, key, value, past.key, past.value, lastPosition, totalLength, cosTable, sinTable];
  const [output, presentKey, presentValue] = applyGroupQueryAttention(operands, attrs);
  return { output: output!, present: { key: presentKey!, value: presentValue! } };
}
