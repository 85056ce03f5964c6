/**
 * @file Checkpoints of full size without their weights' content: published configuration, names, shapes, types and shards.
 * `zeros` takes no disk (the files have holes); `random` writes numbers.
 */

import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type HostTensor, hostTensor, sizeOf, tensorBytes } from '../../../src/core/index.ts';
import {
  decoderGraph,
  type LlavaConfig,
  parseModelConfig,
  storedName,
  visionGraph,
} from '../../../src/models/index.ts';
import { saveTokenizer, trainBpe } from '../../../src/processor/index.ts';
import { type TensorSource, writeSafetensors } from '../../../src/weights/index.ts';
import { buildHeader, byteLengthOf, layoutOrder } from '../../../src/weights/safetensors-header.ts';

/** A published checkpoint. */
export interface Published {
  readonly json: object;
  readonly layout: 'hf' | 'original';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly shards: number;
  /** Tokens of the tokenizer, `<image>` and `<pad>` not counted. */
  readonly tokens: number;
}

const CLIP_336 = {
  model_type: 'clip_vision_model',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 336,
  patch_size: 14,
  projection_dim: 768,
  vocab_size: 32000,
};

const PINPOINTS = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];

const VICUNA = { model_type: 'llama', max_position_embeddings: 4096, rms_norm_eps: 1e-5, vocab_size: 32064 };

const nextJson = (text_config: object, imageId: number, torch_dtype = 'float16') => ({
  architectures: ['LlavaNextForConditionalGeneration'],
  model_type: 'llava_next',
  image_grid_pinpoints: PINPOINTS,
  image_token_index: imageId,
  use_image_newline_parameter: true,
  torch_dtype,
  text_config,
  vision_config: CLIP_336,
});

/** Checkpoints by the names that they are published under. */
export const PUBLISHED = {
  'llava-hf/llava-1.5-7b-hf': {
    json: {
      architectures: ['LlavaForConditionalGeneration'],
      model_type: 'llava',
      image_token_index: 32000,
      pad_token_id: 32001,
      text_config: VICUNA,
      vision_config: CLIP_336,
      torch_dtype: 'float16',
    },
    layout: 'hf',
    dtype: 'f16',
    shards: 3,
    tokens: 32000,
  },
  'llava-hf/llava-v1.6-mistral-7b-hf': {
    json: nextJson(
      {
        ...{ model_type: 'mistral', intermediate_size: 14336, num_key_value_heads: 8, rope_theta: 1e6 },
        ...{ max_position_embeddings: 32768, rms_norm_eps: 1e-5, sliding_window: null, vocab_size: 32064 },
      },
      32000,
    ),
    layout: 'hf',
    dtype: 'f16',
    shards: 4,
    tokens: 32000,
  },
  'llava-hf/llava-v1.6-vicuna-13b-hf': {
    json: nextJson(
      {
        ...VICUNA,
        ...{ hidden_size: 5120, intermediate_size: 13824, num_hidden_layers: 40, num_attention_heads: 40 },
        num_key_value_heads: 40,
      },
      32000,
    ),
    layout: 'hf',
    dtype: 'f16',
    shards: 6,
    tokens: 32000,
  },
  'llava-hf/llava-v1.6-34b-hf': {
    json: nextJson(
      {
        ...{ model_type: 'llama', hidden_size: 7168, intermediate_size: 20480, num_hidden_layers: 60 },
        ...{ num_attention_heads: 56, num_key_value_heads: 8, rope_theta: 5e6, rms_norm_eps: 1e-5 },
        ...{ max_position_embeddings: 4096, vocab_size: 64064 },
      },
      64000,
      'bfloat16',
    ),
    layout: 'hf',
    dtype: 'bf16',
    shards: 15,
    tokens: 64000,
  },
} as const satisfies Record<string, Published>;

/** What the weight files hold: nothing (there is an index alone), zeros without disk, or random numbers. */
export type Content = 'index' | 'zeros' | 'random';

/** Writes a checkpoint of `published`'s form into `folder`. Returns the number of parameters. */
export async function writeSynthetic(folder: string, published: Published, content: Content): Promise<number> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(published.json));
  await writeTokenizer(folder, published.tokens);
  const tensors = tensorsOf(published);
  const bytes = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  const shards = divide(tensors, bytes / published.shards);
  const name = (i: number) =>
    shards.length === 1 ? 'model.safetensors' : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
  for (const [i, shard] of shards.entries()) {
    if (content === 'zeros') writeHoles(join(folder, name(i)), shard);
    if (content === 'random') await writeSafetensors(join(folder, name(i)), shard, { metadata: { format: 'pt' } });
  }
  const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(tensor => [tensor.name, name(i)])));
  const index = { metadata: { total_size: bytes }, weight_map };
  if (shards.length > 1) writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  return tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

const digits = (value: number): string => String(value).padStart(5, '0');

/** All of a LLaVA's weights, the blocks and norms of the tower that answers do not need among them. */
function tensorsOf({ json, layout, dtype }: Published): TensorSource[] {
  const config = parseModelConfig(json, 'synthetic') as LlavaConfig;
  const vision = visionGraph({ ...config, visionFeatureLayers: [-1] });
  const params = [...vision.params, ...decoderGraph(config.language, 'language_model').params];
  const norms = ['weight', 'bias'].map(name => ({
    name: `vision_tower.vision_model.post_layernorm.${name}`,
    shape: [config.vision.hiddenSize],
  }));
  return [...params, ...norms].map(({ name, shape }) => {
    const sizes = shape as readonly number[];
    const read = () => randomTensor(dtype, sizes);
    return { name: storedName(layout, name, 2), dtype, shape: sizes, read };
  });
}

/** Bits that are the same in all numbers of a type, which then are ±0.0078 … ±0.0156; the others are drawn. */
const BITS = {
  f32: { fixed: 0x3c000000, drawn: 0x807fffff },
  f16: { fixed: 0x20002000, drawn: 0x83ff83ff },
  bf16: { fixed: 0x3c003c00, drawn: 0x807f807f },
} as const;

/** Numbers that are all drawn anew: ONNX Runtime keeps equal weights once. */
function randomTensor(dtype: keyof typeof BITS, shape: readonly number[]): HostTensor {
  const tensor = hostTensor(dtype, shape);
  const bytes = tensorBytes(tensor);
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  randomFillSync(words);
  const { fixed, drawn } = BITS[dtype];
  for (let i = 0; i < words.length; i++) words[i] = (words[i]! & drawn) | fixed;
  return tensor;
}

function divide(tensors: readonly TensorSource[], bytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  let used = 0;
  for (const tensor of tensors) {
    if (used >= bytes) {
      shards.push([]);
      used = 0;
    }
    shards.at(-1)!.push(tensor);
    used += byteLengthOf(tensor);
  }
  return shards;
}

function writeHoles(path: string, tensors: readonly TensorSource[]): void {
  const ordered = layoutOrder(tensors);
  const header = buildHeader(ordered, { format: 'pt' });
  const file = openSync(path, 'w');
  writeSync(file, header);
  ftruncateSync(file, header.length + ordered.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0));
  closeSync(file);
}

/** A small trained tokenizer, filled up to `count` with tokens that no text has, then `<image>` and `<pad>`. */
async function writeTokenizer(folder: string, count: number): Promise<void> {
  const trained = trainBpe(['what is in this picture', 'a cat and a dog on the mat'], { vocabSize: 320 });
  const { model, added_tokens, ...rest } = trained.tokenizerJson as {
    model: { vocab: Record<string, number> };
    added_tokens: { id: number; content: string }[];
  };
  const known = Object.keys(model.vocab).length;
  const filler = Array.from({ length: count - known }, (_, i) => [`\u{f0000}${known + i}`, known + i] as const);
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = ['<image>', '<pad>'].map((content, i) => ({ id: count + i, content, ...special }));
  await saveTokenizer(folder, {
    ...trained,
    tokenizerJson: {
      ...rest,
      added_tokens: [...added_tokens, ...added],
      model: { ...model, vocab: { ...model.vocab, ...Object.fromEntries(filler) } },
    },
    tokenizerConfig: { ...trained.tokenizerConfig, pad_token: '<pad>' },
  });
}
