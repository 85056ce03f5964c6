/** @file Models of published shapes with random weights, in every form that is compared; kept in the cache. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../src/core/index.ts';
import { convertModel, quantizedFolder, writeSyntheticModel } from '../src/engine/index.ts';
import type { JsonObject, WeightFormat } from '../src/models/index.ts';
import { projectFolder } from './project.ts';

const TOKENIZER = join(projectFolder(), 'models/demo');

/** Divides every size of a model for a run that only shows that all works. */
const SMOKE = 16;

interface Shape {
  readonly layers: number;
  readonly isSmoke: boolean;
}

/** LLaMA-7B with fewer layers, so that comparisons fit into minutes. */
export function llama7b({ layers, isSmoke }: Shape): JsonObject {
  const by = isSmoke ? SMOKE : 1;
  return {
    model_type: 'llama',
    vocab_size: isSmoke ? 4096 : 32000,
    hidden_size: 4096 / by,
    intermediate_size: isSmoke ? 704 : 11008,
    num_hidden_layers: layers,
    num_attention_heads: 32 / by,
    num_key_value_heads: 32 / by,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  };
}

/** SmolLM2-135M: a small Llama with grouped heads and a tied head. */
export function smolLm2({ layers, isSmoke }: Shape): JsonObject {
  return {
    ...llama7b({ layers, isSmoke: true }),
    vocab_size: isSmoke ? 4096 : 49152,
    hidden_size: isSmoke ? 128 : 576,
    intermediate_size: isSmoke ? 256 : 1536,
    num_attention_heads: isSmoke ? 4 : 9,
    num_key_value_heads: isSmoke ? 2 : 3,
    max_position_embeddings: 8192,
    rope_theta: 100000,
    tie_word_embeddings: true,
  };
}

/** CLIP's ViT-L/14 at 336 pixels. */
export function vitLarge({ layers, isSmoke }: Shape): JsonObject {
  const by = isSmoke ? SMOKE : 1;
  return {
    model_type: 'clip_vision_model',
    hidden_size: 1024 / by,
    intermediate_size: 4096 / by,
    num_hidden_layers: layers,
    num_attention_heads: 16 / by,
    image_size: isSmoke ? 112 : 336,
    patch_size: 14,
    layer_norm_eps: 1e-5,
    hidden_act: 'quick_gelu',
    projection_dim: 768,
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

/** Name of a model's folder. */
export function modelName(name: string, { layers, isSmoke }: Shape): string {
  return `${isSmoke ? 'smoke-' : ''}${name}-${layers}-layers`;
}

/** The same weights in a form of ours. Random ones gain nothing by calibration. */
export const inForm = (folder: string, format: WeightFormat): Promise<string> =>
  quantizedFolder(folder, format, { calibration: false });

/** The same weights as a GGUF file. */
export async function asGguf(folder: string, dtype: 'q8_0' | 'q4_0'): Promise<string> {
  const target = `${folder}-${dtype}`;
  if (!existsSync(target)) await convertModel(folder, target, { to: 'gguf', dtype });
  return join(target, readdirSync(target).find(file => file.endsWith('.gguf'))!);
}
