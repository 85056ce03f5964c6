/**
 * @file The vision half of a LLaVA in GGUF form (`mmproj`): tower and projector, described under the keys of Hugging Face's
 * or the original repositories' `config.json`. Facts: llama.cpp's `clip` reader and its converter of LLaVA models.
 */

import { LlavaError } from '../../core/index.ts';
import { listNames } from '../files.ts';
import type { WeightEntry } from '../tensor-entry.ts';
import type { MetadataFields } from './metadata.ts';
import { renamer, VISION_NAMES } from './names.ts';
import { openGguf } from './open.ts';

/** Key of our own, in files that this library writes: whose rules hold for pictures. Others' files follow the original. */
export const COMPAT_KEY = 'llava.compat';

/** A vision tower with its projector. Weights have the names of Hugging Face's LLaVA. */
export interface GgufVision {
  readonly path: string;
  readonly fields: MetadataFields;
  readonly compat: 'original' | 'hf';
  /** What a LLaVA's `config.json` says besides the language model, with the keys of {@link compat}. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `vision_config` of Hugging Face. */
  readonly tower: Readonly<Record<string, unknown>>;
  /** What `preprocessor_config.json` says. */
  readonly imageSettings: Readonly<Record<string, unknown>>;
  readonly entries: ReadonlyMap<string, WeightEntry>;
}

/**
 * Opens a vision half.
 * @throws LlavaError that names the file and the key or tensors at fault
 */
export function openGgufVision(path: string): GgufVision {
  const { path: file, fields, entries } = openGguf(path);
  const architecture = fields.string('general.architecture');
  if (architecture !== 'clip' || !fields.boolean('clip.has_vision_encoder', false)) {
    throw new LlavaError(
      `${file}: expected the vision half of a LLaVA (general.architecture clip), got ${architecture}`,
    );
  }
  const type = fields.optionalString('clip.projector_type') ?? 'mlp';
  if (type !== 'mlp' || entries.has('mm.3.weight')) {
    throw new LlavaError(`${file}: expected clip.projector_type mlp with plain layers, got ${type}`);
  }
  const compat = fields.optionalString(COMPAT_KEY) === 'hf' ? 'hf' : 'original';
  const named = huggingFaceEntries(file, fields, entries);
  const config = compat === 'hf' ? huggingFaceKeys(fields, named) : originalKeys(fields, named);
  return {
    path: file,
    fields,
    compat,
    config,
    tower: towerConfig(fields, named),
    imageSettings: settings(fields),
    entries: named,
  };
}

const count = (fields: MetadataFields, key: string): number => fields.count(`clip.vision.${key}`);

function towerConfig(fields: MetadataFields, entries: ReadonlyMap<string, WeightEntry>) {
  const isClip = entries.has('vision_tower.vision_model.embeddings.class_embedding');
  const gelu = isClip ? 'gelu' : 'gelu_pytorch_tanh';
  return {
    model_type: isClip ? 'clip_vision_model' : 'siglip_vision_model',
    hidden_size: count(fields, 'embedding_length'),
    intermediate_size: count(fields, 'feed_forward_length'),
    num_hidden_layers: count(fields, 'block_count'),
    num_attention_heads: count(fields, 'attention.head_count'),
    image_size: count(fields, 'image_size'),
    patch_size: count(fields, 'patch_size'),
    layer_norm_eps: fields.number('clip.vision.attention.layer_norm_epsilon'),
    hidden_act: fields.boolean('clip.use_gelu', false) ? gelu : 'quick_gelu',
  };
}

/** Hidden states that the projector reads, in their order. Without the key the file ends with the block that gives it. */
function featureLayers(fields: MetadataFields): readonly number[] {
  const layers = fields.numbers('clip.vision.feature_layer') ?? [];
  return layers.length > 0 ? [...layers].sort((a, b) => a - b) : [count(fields, 'block_count')];
}

function projectorType(entries: ReadonlyMap<string, WeightEntry>): string {
  const layers = [1, 2, 3].filter(i => entries.has(`multi_modal_projector.linear_${i}.weight`)).length;
  return layers === 1 ? 'linear' : `mlp${layers}x_gelu`;
}

/** Pairs of `clip.vision.image_grid_pinpoints`. */
function pinpoints(fields: MetadataFields): number[][] | undefined {
  const flat = fields.numbers('clip.vision.image_grid_pinpoints') ?? [];
  if (flat.length === 0) return undefined;
  return Array.from({ length: Math.ceil(flat.length / 2) }, (_, i) => flat.slice(2 * i, 2 * i + 2));
}

/** What a picture is made: the file's word, else any resolution where the file has a grid, else padded as LLaVA-1.5 does. */
function aspectRatio(fields: MetadataFields): string {
  return fields.optionalString('clip.vision.image_aspect_ratio') ?? (pinpoints(fields) ? 'anyres' : 'pad');
}

function pictureKeys(fields: MetadataFields) {
  const grid = pinpoints(fields);
  const merge = fields.optionalString('clip.vision.mm_patch_merge_type') ?? (grid ? 'spatial_unpad' : undefined);
  return {
    image_aspect_ratio: aspectRatio(fields),
    ...(grid && { image_grid_pinpoints: grid }),
    ...(merge !== undefined && { mm_patch_merge_type: merge }),
  };
}

function huggingFaceKeys(fields: MetadataFields, entries: ReadonlyMap<string, WeightEntry>) {
  return {
    model_type: pinpoints(fields) ? 'llava_next' : 'llava',
    ...pictureKeys(fields),
    mm_projector_type: projectorType(entries),
    multimodal_projector_bias: entries.has('multi_modal_projector.linear_1.bias'),
    vision_feature_layer: featureLayers(fields),
    vision_feature_select_strategy: 'default',
  };
}

function originalKeys(fields: MetadataFields, entries: ReadonlyMap<string, WeightEntry>) {
  return {
    ...pictureKeys(fields),
    mm_projector_type: projectorType(entries),
    mm_vision_tower: fields.where,
    mm_vision_select_layer: featureLayers(fields),
    mm_vision_select_feature: 'patch',
  };
}

function settings(fields: MetadataFields) {
  const side = count(fields, 'image_size');
  return {
    size: { shortest_edge: side },
    crop_size: { width: side, height: side },
    image_mean: fields.numbers('clip.vision.image_mean'),
    image_std: fields.numbers('clip.vision.image_std'),
  };
}

function huggingFaceEntries(
  file: string,
  fields: MetadataFields,
  entries: ReadonlyMap<string, WeightEntry>,
): Map<string, WeightEntry> {
  const rename = renamer(VISION_NAMES, 'to-hf');
  const width = count(fields, 'embedding_length');
  const named = new Map<string, WeightEntry>();
  const strange: string[] = [];
  for (const entry of entries.values()) {
    const name = rename(publishedName(entry, width, entries));
    if (name === undefined || named.has(name)) strange.push(entry.name);
    else named.set(name, { ...entry, name });
  }
  if (strange.length === 0) return named;
  throw new LlavaError(`${file}: expected tensors of a CLIP tower and its projector, got ${listNames(strange)}`);
}

/** The name as the published files have it: the MLP's first layer, which reads `width` values, is `ffn_down` there. */
function publishedName(entry: WeightEntry, width: number, entries: ReadonlyMap<string, WeightEntry>): string {
  const { name } = entry;
  if (name === 'v.image_newline') return 'model.image_newline';
  const [, block, kind, suffix] = /^(v\.blk\.\d+\.)ffn_(up|down)(\.\w+)$/.exec(name) ?? [];
  if (block === undefined) return name;
  const down = entries.get(`${block}ffn_down.weight`);
  if (down?.shape[1] === width) return name;
  return `${block}ffn_${kind === 'up' ? 'down' : 'up'}${suffix}`;
}
