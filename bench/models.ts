/** @file Models of published shapes with random weights, in every form that is compared; kept in the cache. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../src/core/index.ts';
import { convertModel, quantizedFolder, writeSyntheticModel } from '../src/engine/index.ts';
import type { JsonObject, WeightFormat } from '../src/models/index.ts';

const TOKENIZER = join(import.meta.dirname, '../../models/demo');

/** LLaMA-7B with fewer layers, so that comparisons fit into minutes. */
export function llama7b(layers: number): JsonObject {
  return {
    model_type: 'llama',
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  };
}

/** Folder of the model in f16, made the first time. */
export async function syntheticModel(name: string, json: JsonObject): Promise<string> {
  const folder = join(cacheFolder(), 'bench', name);
  if (!existsSync(join(folder, 'config.json'))) {
    await writeSyntheticModel(json, folder, {
      quantization: { format: 'float', exceptions: [] },
      tokenizer: TOKENIZER,
    });
  }
  return folder;
}

/** The same weights in a form of ours. */
export const inForm = (folder: string, format: WeightFormat): Promise<string> => quantizedFolder(folder, format);

/** The same weights as a GGUF file. */
export async function asGguf(folder: string, dtype: 'q8_0' | 'q4_0'): Promise<string> {
  const target = `${folder}-${dtype}`;
  if (!existsSync(target)) await convertModel(folder, target, { to: 'gguf', dtype });
  return join(target, readdirSync(target).find(file => file.endsWith('.gguf'))!);
}
