/** @file Models computed in f16, as on devices: near those in f32, in every form, with the same answers. */

import { describe, expect, test } from 'vitest';
import { type LoadOptions, loadModel, quantizeModel } from '../../../src/engine/index.ts';
import { inPrecision } from '../../../src/graph/index.ts';
import { decoderGraph, parseLlavaConfig, visionGraph } from '../../../src/models/index.ts';
import { answer, outcome } from './outcome.ts';
import { relativeError, TINY_CONFIG, TINY_JSON, temporaryFolder, tinyWeights, writeTinyModel } from './tiny-model.ts';

const { text_config, vision_config } = TINY_JSON;

const FAMILIES: readonly (readonly [string, object])[] = [
  ['grouped heads', {}],
  ['a sliding window', { text_config: { ...text_config, model_type: 'mistral', sliding_window: 12 } }],
  ['narrow heads', { text_config: { ...text_config, num_attention_heads: 8, num_key_value_heads: 4 } }],
  ['dynamic rotation', { text_config: { ...text_config, rope_scaling: { rope_type: 'dynamic', factor: 2 } } }],
  ['biases', { text_config: { ...text_config, model_type: 'qwen2' } }],
  ['gelu', { vision_config: { ...vision_config, hidden_act: 'gelu' } }],
];

/** With weights as wild as these transformers in f16 is off by 1.6e-2 too. */
const TOLERANCE = 2e-2;

/** Largest relative error of what a model in f16 computes. */
async function errorIn16(folder: string, options: LoadOptions = {}): Promise<number> {
  const [full, half] = [await outcome(folder, {}), await outcome(folder, { precision: 'f16', ...options })];
  return Math.max(...half.map((row, i) => relativeError(row, full[i]!)));
}

describe.each(FAMILIES)('%s', (_name, json) => {
  test('features and logits are near those in f32', async () => {
    using folder = temporaryFolder();
    const weights = tinyWeights(parseLlavaConfig({ ...TINY_JSON, ...json }, 'precision'));
    await writeTinyModel(folder.path, { json, weights });
    const error = await errorIn16(folder.path);
    expect(error).toBeLessThan(TOLERANCE);
    expect(error).toBeGreaterThan(1e-5); // it is another graph
  });
});

test('keys and values in f32 beside weights in f16', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  expect(await errorIn16(folder.path, { kvCache: 'f32' })).toBeLessThan(TOLERANCE);
});

test.each(['int4', 'int8', 'w8a8', 'w8a16'] as const)('weights in %s', async format => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const copy = `${folder.path}/copy`;
  await quantizeModel(folder.path, copy, { quantization: { format, exceptions: [] }, calibration: false });
  // Where activations are rounded to 8 bits, what f16 changes moves some of them by a whole step.
  expect(await errorIn16(copy)).toBeLessThan(format === 'w8a16' ? TOLERANCE : 0.15);
});

test('an answer about a picture is the same', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  expect(await answer(folder.path, { precision: 'f16' })).toBe(await answer(folder.path, {}));
});

test('weights, keys and values are f16; what is fed and given is not', () => {
  const [decoder, vision] = [decoderGraph(TINY_CONFIG.language, '', undefined, 'f16'), visionGraph(TINY_CONFIG)];
  for (const graph of [decoder, vision]) {
    const half = inPrecision(graph, 'f16');
    expect(new Set(half.params.map(({ dtype }) => dtype))).toEqual(new Set(['f16']));
    const ports = (kind: 'inputs' | 'outputs', of: typeof graph) => of[kind].map(({ name, dtype }) => [name, dtype]);
    expect(ports('inputs', half)).toEqual(ports('inputs', graph));
    expect(ports('outputs', half)).toEqual(ports('outputs', graph));
    expect(inPrecision(graph, 'f32')).toBe(graph);
  }
});

test('another precision is refused', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  const load = loadModel(folder.path, { precision: 'bf16' as 'f16' });
  await expect(load).rejects.toThrow('option precision: expected one of f32, f16, got bf16');
});
