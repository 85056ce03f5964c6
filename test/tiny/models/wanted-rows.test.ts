/** @file Work that nobody asks for is left out: after the last block's attention only the wanted positions go on. */

import { expect, test } from 'vitest';
import type { Graph } from '../../../src/graph/index.ts';
import {
  decoderGraph,
  decoderParts,
  type LlamaConfig,
  parseModelConfig,
  wholeGraph,
} from '../../../src/models/index.ts';

const config = parseModelConfig(
  {
    ...{ model_type: 'llama', vocab_size: 50, hidden_size: 16, intermediate_size: 24, max_position_embeddings: 64 },
    ...{ num_hidden_layers: 2, num_attention_heads: 2 },
  },
  'config.json',
) as LlamaConfig;

/** First size of what is multiplied with each of the graph's weights, by name. */
function multipliedRows({ nodes }: Graph): Record<string, unknown> {
  const rows: Record<string, unknown> = {};
  for (const node of nodes) {
    if (node.kind !== 'op' || node.op !== 'matMul') continue;
    const [x, weight] = node.inputs;
    if (weight?.node.kind === 'param') rows[weight.node.name.replace(/^model\.layers\./, '')] = x!.shape[0];
  }
  return rows;
}

/** The rows `some` reach what follows the last attention, `all` what comes before. */
function expectTrimmed(rows: Record<string, unknown>, some: unknown, all: unknown): void {
  for (const [name, size] of Object.entries(rows)) {
    const isLate = /^1\.(mlp|self_attn\.o_proj)|^lm_head/.test(name);
    expect(size, name).toEqual(isLate ? some : all);
  }
}

test('a decoder with a cache', () => {
  const rows = multipliedRows(decoderGraph(config, ''));
  expect(Object.keys(rows)).toHaveLength(15);
  expectTrimmed(rows, rows['lm_head.weight'], rows['0.self_attn.q_proj.weight']);
  expect(rows['lm_head.weight']).not.toEqual(rows['0.self_attn.q_proj.weight']);
});

test('a decoder in parts: the first gives all positions', () => {
  const [first, last] = decoderParts(config, '', undefined, 'f32', 2).map(multipliedRows);
  const all = first!['0.self_attn.q_proj.weight'];
  for (const [name, size] of Object.entries(first!)) expect(size, name).toEqual(all);
  expectTrimmed(last!, last!['lm_head.weight'], last!['1.self_attn.q_proj.weight']);
});

test('a whole sequence, as training reads it', () => {
  const rows = multipliedRows(wholeGraph(config, 7, false));
  expectTrimmed(rows, rows['lm_head.weight'], 7);
  expect(rows['lm_head.weight']).not.toBe(7);
});
