/** @file Configurations of LLaVA models: what the graph needs, and Hugging Face's files. */

import { LlavaError } from '../../core/index.ts';
import { Fields, type JsonObject } from '../fields.ts';
import {
  type AnyResolution,
  type AspectRule,
  type Compat,
  type PatchMerge,
  parseAspect,
  parseMerge,
  parsePinpoints,
  RELEASED_PINPOINTS,
  SPATIAL_UNPAD,
} from './any-resolution.ts';
import { type LanguageType, type LlamaConfig, parseLanguageConfig } from './language.ts';
import { parseVisionConfig, type VisionConfig } from './vision.ts';

/** `linear`; `mlpNx_gelu`: N linear layers with exact GELU between them; `identity`: nothing. */
export type ProjectorType = 'linear' | 'identity' | `mlp${number}x_gelu`;

/** A LLaVA: vision tower, projector, language model. */
export interface LlavaConfig {
  readonly modelType: 'llava';
  /** Whose configuration file this is: an original repository's, or Hugging Face's. */
  readonly format: Compat;
  /** Whose rules hold for pictures: those of the file's format unless the user says otherwise. */
  readonly compat: Compat;
  readonly vision: VisionConfig;
  readonly language: LlamaConfig;
  readonly projectorType: ProjectorType;
  readonly projectorBias: boolean;
  /**
   * Indices into the tower's hidden states, joined along channels where there are several; −2 is the output of the last block
   * but one.
   */
  readonly visionFeatureLayers: readonly number[];
  /** `patch` drops the class token, `cls_patch` keeps it; always `patch` for a tower that has none. */
  readonly visionFeatureSelect: 'patch' | 'cls_patch';
  /** How a picture becomes one square tile, where the file says. */
  readonly squareMode: AspectRule['square'];
  /** Absent for models that read one square tile. */
  readonly anyres: AnyResolution | undefined;
  readonly merge: PatchMerge;
  /** Whether prompts have `<im_start>` and `<im_end>` around each image. */
  readonly usesImageMarkers: boolean;
  /** Id of `<image>` in the tokenizer's vocabulary; −200 in the original repositories, where it is no token. */
  readonly imageTokenId: number;
  /** Keys of the file that are not used here. */
  readonly extra: JsonObject;
}

interface TypeDefaults {
  readonly visionType: VisionConfig['modelType'];
  readonly languageType: LanguageType;
  readonly featureLayer: number;
  readonly strategy: 'default' | 'full';
  readonly imageTokenId: number;
  readonly pictures: (fields: Fields, vision: VisionConfig) => PictureRules;
}

const CLIP_AND_LLAMA = {
  visionType: 'clip_vision_model',
  languageType: 'llama',
  featureLayer: -2,
  strategy: 'default',
  imageTokenId: 32000,
} as const;

/** Hugging Face's values of `model_type`, with what holds where a file is silent. */
const DEFAULTS = {
  llava: { ...CLIP_AND_LLAMA, pictures: squarePictures },
  llava_next: { ...CLIP_AND_LLAMA, pictures: nextPictures },
  llava_onevision: {
    visionType: 'siglip_vision_model',
    languageType: 'qwen2',
    featureLayer: -1,
    strategy: 'full',
    imageTokenId: 151646,
    pictures: oneVisionPictures,
  },
} as const satisfies Record<string, TypeDefaults>;

/** Values of `model_type` of a LLaVA in Hugging Face's form. */
export const LLAVA_TYPES = Object.keys(DEFAULTS) as readonly (keyof typeof DEFAULTS)[];

/**
 * Parses a Hugging Face configuration: `llava` (LLaVA v1 and v1.5), `llava_next` (1.6) or `llava_onevision` (pictures, not
 * videos).
 */
export function parseLlavaConfig(json: unknown, where: string): LlavaConfig {
  const fields = new Fields(json, where);
  const defaults: TypeDefaults = DEFAULTS[fields.choice('model_type', LLAVA_TYPES, 'llava')];
  const part = (key: string, partType: string) => ({ model_type: partType, ...fields.object(key) });
  const vision = parseVisionConfig(part('vision_config', defaults.visionType), `${where}: vision_config`);
  return checkedLlava(where, {
    modelType: 'llava',
    format: 'hf',
    compat: 'hf',
    vision,
    language: parseLanguageConfig(part('text_config', defaults.languageType), `${where}: text_config`),
    projectorType: parseProjectorType(fields.string('mm_projector_type', 'mlp2x_gelu'), where),
    projectorBias: fields.boolean('multimodal_projector_bias', true),
    visionFeatureLayers: parseFeatureLayers(fields, 'vision_feature_layer', vision, defaults.featureLayer),
    visionFeatureSelect: parseStrategy(fields, vision, defaults.strategy),
    ...defaults.pictures(fields, vision),
    usesImageMarkers: fields.boolean('mm_use_im_start_end', false),
    imageTokenId: fields.integer('image_token_index', fields.integer('image_token_id', defaults.imageTokenId)),
    extra: fields.rest(),
  });
}

type PictureRules = Pick<LlavaConfig, 'squareMode' | 'anyres' | 'merge'>;

/** The original's keys may stand in a `llava` file too: this library's own models say how they were trained. */
function squarePictures(fields: Fields, { imageSize }: VisionConfig): PictureRules {
  const { square, anyres } = parseAspect(fields, 'image_aspect_ratio', imageSize);
  return { squareMode: square, anyres, merge: parseMerge(fields) };
}

/** `transformers` merges in one way only. */
function nextPictures(fields: Fields, { imageSize }: VisionConfig): PictureRules {
  const pinpoints = parsePinpoints(fields, imageSize, RELEASED_PINPOINTS);
  return { squareMode: undefined, anyres: { pinpoints, maxTiles: undefined }, merge: SPATIAL_UNPAD };
}

/** More feature rows than those of N tiles are scaled down; the merging is that of `llava_next`. */
function oneVisionPictures(fields: Fields, { imageSize }: VisionConfig): PictureRules {
  const { anyres } = parseAspect(fields, 'vision_aspect_ratio', imageSize, 'anyres_max_9', '(1x1),...,(6x6)');
  return { squareMode: undefined, anyres, merge: SPATIAL_UNPAD };
}

/** Throws where the parts do not go together. */
export function checkedLlava(where: string, config: LlavaConfig): LlavaConfig {
  if (config.anyres && config.merge.spatial && config.visionFeatureSelect === 'cls_patch') {
    throw new LlavaError(`${where}: expected patch features without the class token for a grid of tiles, got all`);
  }
  const { projectorType, vision, visionFeatureLayers, language } = config;
  const width = vision.hiddenSize * visionFeatureLayers.length;
  if (projectorType === 'identity' && width !== language.hiddenSize) {
    throw new LlavaError(
      `${where}: expected features as wide as the language model, ${language.hiddenSize}, for projector identity, got ${width}`,
    );
  }
  return Object.freeze(config);
}

/** The configuration with the picture rules of `compat`; without one those of the file's format. */
export function withCompat(config: LlavaConfig, compat: Compat | undefined): LlavaConfig {
  return Object.freeze({ ...config, compat: compat ?? config.format });
}

/** Whether the model has the learned vector `image_newline`. */
export function hasImageNewline({ anyres, merge }: Pick<LlavaConfig, 'anyres' | 'merge'>): boolean {
  return anyres !== undefined && merge.spatial && merge.unpad && !merge.maxPool;
}

/** The feature layers that a file chooses: an index, or a list of them. */
export function parseFeatureLayers(
  fields: Fields,
  key: string,
  { numHiddenLayers }: VisionConfig,
  fallback = -2,
): readonly number[] {
  const layers = fields.integers(key, [fallback]);
  const exist = layers.every(layer => layer >= -numHiddenLayers - 1 && layer <= numHiddenLayers);
  if (layers.length > 0 && exist) return layers;
  throw new LlavaError(`${fields.where}: expected ${key} of a tower of ${numHiddenLayers} blocks, got [${layers}]`);
}

/** `default` drops the first token, `full` drops none: without a class token only that makes sense. */
function parseStrategy(
  fields: Fields,
  vision: VisionConfig,
  fallback: TypeDefaults['strategy'],
): LlavaConfig['visionFeatureSelect'] {
  const strategy = fields.choice('vision_feature_select_strategy', ['default', 'full'], fallback);
  if (vision.modelType === 'clip_vision_model') return strategy === 'default' ? 'patch' : 'cls_patch';
  if (strategy === 'full') return 'patch';
  throw new LlavaError(`${fields.where}: expected vision_feature_select_strategy full for SigLIP, got ${strategy}`);
}

/** A projector's name, checked. */
export function parseProjectorType(text: string, where: string): ProjectorType {
  if (text === 'linear' || text === 'identity' || /^mlp[1-9]\d?x_gelu$/.test(text)) return text as ProjectorType;
  throw new LlavaError(`${where}: expected mm_projector_type linear, mlpNx_gelu or identity, got ${text}`);
}

/** Number of linear layers of a projector. */
export function projectorDepth(type: ProjectorType): number {
  if (type === 'identity') return 0;
  return type === 'linear' ? 1 : Number(/\d+/.exec(type)![0]);
}
