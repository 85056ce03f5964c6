/** @file Checkpoints to convert, and what can be compared of them. */

import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tensorBytes } from '../../../src/core/index.ts';
import { openWeights, readTensor, saveWeights, tensorSource } from '../../../src/weights/index.ts';

export const END_TO_END = join(import.meta.dirname, '../../golden/models/end-to-end');

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Name → dtype, shape and digest of every tensor of a folder. */
export function contents(folder: string): Map<string, string> {
  const entries = [...openWeights(folder).entries.values()];
  return new Map(
    entries.map(entry => {
      const { dtype, shape } = entry;
      return [entry.name, `${dtype}[${shape}] ${digest(tensorBytes(readTensor(entry)))}`];
    }),
  );
}

/** Digest of every file of a folder by name. */
export function files(folder: string): Map<string, string> {
  return new Map(readdirSync(folder).map(name => [name, digest(readFileSync(join(folder, name)))]));
}

/** Rewrites a JSON file of a folder. */
export function editJson<T extends object>(folder: string, name: string, change: (json: T) => object): void {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))));
}

/** Tokens of {@link writePlainVocabulary}'s model. */
export const PLAIN_ROWS = 340;

/**
 * The end-to-end model as if nobody had added `<image>` and `<pad>` yet: 340 tokens, 340 rows. `to` keeps Hugging Face's
 * layout, so that reading it needs no conversion.
 */
export async function writePlainVocabulary(to: string): Promise<void> {
  cpSync(END_TO_END, to, { recursive: true });
  const tensors = [...openWeights(END_TO_END).entries.values()].map(entry => {
    const tensor = readTensor(entry);
    if (!/embed_tokens|lm_head/.test(entry.name)) return tensorSource(entry.name, tensor);
    const width = entry.shape[1]!;
    const data = (tensor.data as Float32Array).slice(0, PLAIN_ROWS * width);
    return tensorSource(entry.name, { dtype: 'f32', shape: [PLAIN_ROWS, width], data });
  });
  await saveWeights(to, tensors);
  type Tokens = { added_tokens: { id: number }[] };
  editJson<Tokens>(to, 'tokenizer.json', json => ({
    ...json,
    added_tokens: json.added_tokens.filter(({ id }) => id < PLAIN_ROWS),
  }));
  editJson<{ pad_token: string }>(to, 'tokenizer_config.json', json => ({
    ...json,
    pad_token: '<unk>',
    extra_special_tokens: [],
  }));
  editJson<{ text_config: object }>(to, 'config.json', json => ({
    ...json,
    text_config: { ...json.text_config, vocab_size: PLAIN_ROWS, pad_token_id: 0 },
  }));
  editJson(to, 'generation_config.json', json => ({ ...json, pad_token_id: 0 }));
}
