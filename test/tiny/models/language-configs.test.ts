/** @file Configurations of language models against what transformers reads from the same files; and files that are wrong. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type LlamaConfig, layerWindow, parseLanguageConfig, parseLlavaConfig } from '../../../src/models/index.ts';
import { rotaryTables } from '../../../src/nn/index.ts';

interface Case {
  readonly file: object;
  readonly values: Readonly<Record<string, unknown>>;
  readonly head_dim: number;
  readonly rope_theta: number;
  readonly windows: readonly (number | null)[];
  readonly sines: readonly (readonly number[])[];
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../golden/models/language-configs.json'), 'utf8'));
const CASES: Readonly<Record<string, Case>> = golden.cases;
const POSITIONS: readonly number[] = golden.positions;

const OUR_KEYS: Readonly<Record<string, keyof LlamaConfig>> = {
  vocab_size: 'vocabSize',
  hidden_size: 'hiddenSize',
  intermediate_size: 'intermediateSize',
  num_hidden_layers: 'numHiddenLayers',
  num_attention_heads: 'numAttentionHeads',
  num_key_value_heads: 'numKeyValueHeads',
  max_position_embeddings: 'maxPositionEmbeddings',
  rms_norm_eps: 'rmsNormEps',
  hidden_act: 'hiddenAct',
  tie_word_embeddings: 'tieWordEmbeddings',
};

describe.each(Object.entries(CASES))('%s', (name, { file, values, head_dim, rope_theta, windows, sines }) => {
  const config = parseLanguageConfig(file, name);

  test('values and windows', () => {
    const ours = Object.fromEntries(Object.keys(values).map(key => [key, config[OUR_KEYS[key]!]]));
    expect(ours).toEqual(values);
    expect(config.headDim).toBe(head_dim);
    expect(config.ropeTheta).toBe(rope_theta);
    expect(windows.map((_, layer) => layerWindow(config, layer) ?? null)).toEqual(windows);
  });

  test('rotary angles', () => {
    const { node } = rotaryTables(POSITIONS.at(-1)! + 1, config).sinTable;
    const table = node.kind === 'constant' ? (node.tensor!.data as Float32Array) : new Float32Array();
    const half = head_dim / 2;
    for (const [i, position] of POSITIONS.entries()) {
      const ours = table.subarray(position * half, (position + 1) * half);
      const worst = Math.max(...sines[i]!.map((sine, k) => Math.abs(sine - ours[k]!)));
      expect(worst, `position ${position}`).toBeLessThan(1e-7 * position + 1e-7);
    }
  });
});

test('the context is what rope scaling makes of it', () => {
  const length = (json: object) => parseLanguageConfig({ max_position_embeddings: 2048, ...json }, 'x').contextLength;
  expect(length({})).toBe(2048);
  expect(length({ rope_scaling: { type: 'linear', factor: 2.5 } })).toBe(5120);
  expect(length({ rope_scaling: { rope_type: 'dynamic', factor: 2 } })).toBe(4096);
  expect(length({ rope_scaling: { ...LLAMA3, factor: 8 } })).toBe(2048);
});

const LLAMA3 = { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 };

test.each<[object, string]>([
  [{ model_type: 'gpt2' }, 'x: expected one of llama, mistral, qwen2 for model_type, got "gpt2"'],
  [
    { rope_scaling: { type: 'yarn', factor: 4 } },
    'x: rope_scaling: expected one of default, linear, dynamic, llama3 for type, got "yarn"',
  ],
  [{ rope_scaling: { type: 'linear' } }, 'x: rope_scaling: expected a number for factor, got nothing'],
  [
    { rope_parameters: { rope_type: 'linear', factor: 0.5 } },
    'x: rope_parameters: expected factor of at least 1, got 0.5',
  ],
  [
    { rope_scaling: { ...LLAMA3, factor: 8, high_freq_factor: 1 } },
    'x: rope_scaling: expected 0 < low_freq_factor < high_freq_factor, got 1, 1',
  ],
  [{ rope_theta: 0 }, 'x: rope_parameters: expected a positive rope_theta, got 0'],
  [{ max_position_embeddings: 2 ** 30 }, 'x: expected a context of at most 4194304 positions, got 1073741824'],
  [
    { num_attention_heads: 6, head_dim: 8, num_key_value_heads: 4 },
    'x: expected num_key_value_heads that divides 6, got 4',
  ],
  [{ model_type: 'mistral', sliding_window: 0 }, 'x: expected a positive integer for sliding_window, got 0'],
  [
    {
      model_type: 'qwen2',
      use_sliding_window: true,
      num_hidden_layers: 2,
      layer_types: ['sliding_attention', 'full_attention'],
    },
    'x: expected layer_types with the full_attention layers first, got sliding_attention,full_attention',
  ],
])('%j', (json, message) => {
  expect(() => parseLanguageConfig(json, 'x')).toThrow(message);
});

test.each<[object, string]>([
  [{ vision_feature_layer: [] }, 'x: expected vision_feature_layer of a tower of 12 blocks, got []'],
  [{ vision_feature_layer: [-2, 13] }, 'x: expected vision_feature_layer of a tower of 12 blocks, got [-2,13]'],
  [{ vision_feature_layer: ['a'] }, 'x: expected integers for vision_feature_layer, got ["a"]'],
  [
    { mm_projector_type: 'identity' },
    'x: expected features as wide as the language model, 4096, for projector identity, got 768',
  ],
  [{ mm_projector_type: 'pooler' }, 'x: expected mm_projector_type linear, mlpNx_gelu or identity, got pooler'],
  [
    { vision_config: { model_type: 'siglip_vision_model' } },
    'x: expected vision_feature_select_strategy full for SigLIP, got default',
  ],
  [
    { vision_config: { model_type: 'siglip_vision_model', image_size: 8 } },
    'x: vision_config: expected image_size of at least 16, got 8',
  ],
  [
    { vision_config: { model_type: 'vit' } },
    'x: vision_config: expected one of clip_vision_model, siglip_vision_model for model_type, got "vit"',
  ],
])('LLaVA with %j', (json, message) => {
  const complete = { vision_config: {}, text_config: {}, ...json };
  expect(() => parseLlavaConfig(complete, 'x')).toThrow(message);
});
