/** @file What `describeModel` says of folders whose weights are broken, or not there yet. */

import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { convertModel, describeModel } from '../../../src/engine/index.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';
import { END_TO_END, editJson } from './helpers.ts';

const folder = temporaryFolder();
const model = join(folder.path, 'model');
const whole = describeModel(END_TO_END);
const shards = () => readdirSync(model).filter(name => name.endsWith('.safetensors'));

beforeAll(() => convertModel(END_TO_END, model, { to: 'hf-new', maxShardBytes: 40_000 }));
afterAll(() => folder[Symbol.dispose]());

test('a truncated shard is a problem; the parts are those of the index', () => {
  truncateSync(join(model, shards()[1]!), 1000);
  const { parts, problems, memory } = describeModel(model);
  expect(parts).toEqual(expect.arrayContaining([...whole.parts]));
  expect(problems).toEqual([expect.stringMatching(/model-00002-of-\d+\.safetensors: expected .* got 1000$|header/)]);
  expect(memory).toEqual(whole.memory);
});

test('an index alone', () => {
  for (const name of shards()) rmSync(join(model, name));
  const { parts, problems } = describeModel(model);
  expect(parts).toEqual(expect.arrayContaining([...whole.parts]));
  expect(problems).toEqual([expect.stringMatching(/index.json: expected the shards it names, got no model-00001-of-/)]);
});

test('an index that lacks tensors of the model', () => {
  editJson<{ weight_map: Record<string, string> }>(model, 'model.safetensors.index.json', index => {
    const { 'lm_head.weight': _, ...rest } = index.weight_map;
    return { ...index, weight_map: rest };
  });
  expect(describeModel(model).problems[1]).toMatch(
    /expected the \d+ tensors of the model, got no language_model.lm_head/,
  );
});

test('a tokenizer that is larger than the embeddings', () => {
  editJson<{ text_config: object }>(model, 'config.json', config => ({
    ...config,
    text_config: { ...config.text_config, vocab_size: 300 },
  }));
  expect(describeModel(model).problems).toContainEqual(
    expect.stringMatching(/expected a tokenizer of at most 300 tokens, the rows of the embedding, got 342$/),
  );
});
