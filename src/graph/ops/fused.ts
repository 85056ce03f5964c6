/** @file Ops for inference only: ONNX Runtime kernels that training never uses. */

import { defineOp, expectOperands } from '../op.ts';
import type { TensorType, Value } from '../value.ts';

interface GroupQueryAttentionAttrs {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  /** Positions to look back, or -1 for all. */
  readonly slidingWindow: number;
}

const applyGroupQueryAttention = defineOp<GroupQueryAttentionAttrs>({
  name: 'groupQueryAttention',
  formula:
    'softmax(rot(q)·rot([past k, k])ᵀ/√d + causal)·[past v, v]; the new keys and values are appended to the past',
  infer: inputs => {
    const [query, , , pastKey] = inputs as [TensorType, TensorType, TensorType, TensorType];
    expectOperands(
      query.shape.length === 3 && pastKey.shape.length === 4,
      'groupQueryAttention',
      'query [B, T, H·D] and past keys [B, KV, P, D]',
      inputs,
    );
    const present = { dtype: pastKey.dtype, shape: pastKey.shape };
    return [{ dtype: query.dtype, shape: query.shape }, present, present];
  },
  grad: 'not differentiable',
  emit: c => {
    const { numHeads, numKeyValueHeads, slidingWindow } = c.attrs;
    const attributes = {
      num_heads: numHeads,
      kv_num_heads: numKeyValueHeads,
      do_rotary: 1,
      local_window_size: slidingWindow,
    };
    c.node('GroupQueryAttention', c.inputs, { domain: 'com.microsoft', attributes, outputs: c.outputs });
  },
});

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

/** Causal attention with rotary embedding over a key/value cache; returns the output [B, T, H·D] and the new cache. */
export function groupQueryAttention(
  inputs: GroupQueryAttentionInputs,
  attrs: GroupQueryAttentionAttrs,
): { output: Value; present: KeyValuePair } {
  const { query, key, value, past, lastPosition, totalLength, cosTable, sinTable } = inputs;
  const operands = [query, key, value, past.key, past.value, lastPosition, totalLength, cosTable, sinTable];
  const [output, presentKey, presentValue] = applyGroupQueryAttention(operands, attrs);
  return { output: output!, present: { key: presentKey!, value: presentValue! } };
}
