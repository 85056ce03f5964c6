/**
 * @file Configurations of the original repositories (liuhaotian, lmms-lab, microsoft): the language model's keys and the
 * `mm_*` keys on one level, and of the vision tower only the name of its repository.
 */

import { LlavaError } from '../../core/index.ts';
import { Fields, type JsonObject } from '../fields.ts';
import { parseAspect, parseMerge } from './any-resolution.ts';
import { parseLanguageConfig } from './language.ts';
import { checkedLlava, type LlavaConfig, parseFeatureLayers, parseProjectorType } from './llava.ts';
import { parseVisionConfig, type VisionConfig } from './vision.ts';

/** Their `model_type` → that of the language model. Before July 2023 it was still that of the language model itself. */
const LANGUAGE_OF: Readonly<Record<string, string>> = {
  llava: 'llama',
  llava_llama: 'llama',
  llava_mistral: 'mistral',
  llava_qwen: 'qwen2',
  llama: 'llama',
  mistral: 'mistral',
  qwen2: 'qwen2',
};

const CLIP_LARGE = {
  model_type: 'clip_vision_model',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  patch_size: 14,
};

/** Towers that published checkpoints name, by the last part of the name. */
const KNOWN_TOWERS: Readonly<Record<string, JsonObject>> = {
  'clip-vit-large-patch14': { ...CLIP_LARGE, image_size: 224 },
  'clip-vit-large-patch14-336': { ...CLIP_LARGE, image_size: 336 },
  'siglip-so400m-patch14-384': {
    model_type: 'siglip_vision_model',
    hidden_size: 1152,
    intermediate_size: 4304,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    image_size: 384,
    patch_size: 14,
  },
};

/** Whether a decoded `config.json` is an original repository's: it then names the vision tower. */
export function isOriginalLlava(json: unknown): boolean {
  const { model_type: type, text_config: text } = (json ?? {}) as JsonObject;
  return typeof type === 'string' && type in LANGUAGE_OF && text === undefined && originalTower(json) !== undefined;
}

/** The repository or folder that an original configuration takes its vision tower from. */
export function originalTower(json: unknown): string | undefined {
  const { mm_vision_tower: tower, vision_tower: older } = (json ?? {}) as JsonObject;
  const name = tower ?? older;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/**
 * Parses an original configuration.
 * @param tower the configuration of the vision tower's repository; without one the file must state it as `vision_config`,
 * as this library writes it, or the tower must be a known one
 */
export function parseOriginalLlava(json: unknown, where: string, tower?: JsonObject): LlavaConfig {
  const fields = new Fields(json, where);
  const type = fields.string('model_type');
  const name = originalTower(json)!;
  for (const key of ['mm_vision_tower', 'vision_tower']) fields.value(key);
  const stated = tower ?? fields.optionalObject('vision_config');
  const vision = parseVisionConfig(towerJson(name, where, stated), `${where}: vision tower ${name}`);
  const { square, anyres } = parseAspect(fields, 'image_aspect_ratio', vision.imageSize);
  return checkedLlava(where, {
    modelType: 'llava',
    format: 'original',
    compat: 'original',
    vision,
    language: parseLanguageConfig({ ...(json as JsonObject), model_type: LANGUAGE_OF[type] }, where),
    projectorType: parseProjectorType(fields.string('mm_projector_type', 'linear'), where),
    projectorBias: true,
    ...parseFeatures(fields, vision),
    squareMode: square ?? 'square',
    anyres,
    merge: parseMerge(fields),
    usesImageMarkers: fields.boolean('mm_use_im_start_end', false),
    imageTokenId: -200,
    extra: fields.rest(),
  });
}

/** The original takes SigLIP's last block off and then the last hidden state, all of it, whatever the file says. */
function parseFeatures(
  fields: Fields,
  vision: VisionConfig,
): Pick<LlavaConfig, 'visionFeatureLayers' | 'visionFeatureSelect'> {
  const visionFeatureLayers = parseFeatureLayers(fields, 'mm_vision_select_layer', vision);
  const visionFeatureSelect = fields.choice('mm_vision_select_feature', ['patch', 'cls_patch'], 'patch');
  if (vision.modelType === 'clip_vision_model') return { visionFeatureLayers, visionFeatureSelect };
  return { visionFeatureLayers: [-2], visionFeatureSelect: 'patch' };
}

function towerJson(name: string, where: string, given: JsonObject | undefined): JsonObject {
  const json = given ?? KNOWN_TOWERS[name.split('/').at(-1)!];
  if (json) return (json.vision_config ?? json) as JsonObject;
  const known = Object.keys(KNOWN_TOWERS).join(', ');
  throw new LlavaError(
    `${where}: expected the folder of the vision tower ${name} beside the model's or named as option visionTower, ` +
      `since it is none of ${known}`,
  );
}
