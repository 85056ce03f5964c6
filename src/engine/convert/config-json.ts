/**
 * @file The `config.json` of each layout, written from the parsed configuration, with every value stated. What the source's
 * file says about the language model or the tower beside that is carried along where both layouts know the key.
 */

import {
  type JsonObject,
  type Layout,
  type LlamaConfig,
  type LlavaConfig,
  patchesPerSide,
} from '../../models/index.ts';

/** What a configuration is written from. */
export interface ConfigSource {
  readonly config: LlavaConfig;
  /** The source's config.json. */
  readonly json: JsonObject;
  /** Rows of the embeddings that are written. */
  readonly rows: number;
  /** Id of `<image>` in the tokenizer that is written. */
  readonly imageId: number | undefined;
  readonly padId: number | undefined;
  /** Element type of the weights that are written. */
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  /** What is done with a picture that becomes one tile. */
  readonly squareMode: 'square' | 'pad';
}

/** Keys of a language model's configuration that are carried along unread. */
const LANGUAGE_KEYS: readonly string[] = [
  ...['attention_bias', 'attention_dropout', 'initializer_range', 'mlp_bias', 'pretraining_tp', 'use_cache'],
  ...['bos_token_id', 'eos_token_id', 'pad_token_id', 'rope_scaling', 'sliding_window', 'use_sliding_window'],
  ...['max_window_layers', 'layer_types'],
];

/** Keys of a tower's configuration that are carried along unread. */
const VISION_KEYS: readonly string[] = [
  ...['attention_dropout', 'initializer_factor', 'initializer_range', 'num_channels', 'projection_dim', 'vocab_size'],
];

/** Keys of the top level that are carried along unread. */
const SHARED_KEYS: readonly string[] = [
  ...['_name_or_path', 'conversation_template', 'tokenizer_model_max_length', 'tokenizer_padding_side'],
];

/** Keys of the original's that Hugging Face's files carry along, for the way back. */
const ORIGINAL_KEYS: readonly string[] = ['mm_vision_tower', 'mm_use_im_start_end', 'mm_use_im_patch_token'];

/** The `config.json` to write. */
export function configJson(layout: Layout, source: ConfigSource): JsonObject {
  return layout === 'original' ? originalJson(source) : huggingFaceJson(layout, source);
}

function huggingFaceJson(layout: Layout, source: ConfigSource): JsonObject {
  const { config, json, imageId, padId } = source;
  const dtype = { [layout === 'hf-new' ? 'dtype' : 'torch_dtype']: source.dtype };
  return {
    ...pick(json, [...SHARED_KEYS, ...ORIGINAL_KEYS]),
    ...(isLlavaNext(config)
      ? { architectures: ['LlavaNextForConditionalGeneration'], model_type: 'llava_next' }
      : { architectures: ['LlavaForConditionalGeneration'], model_type: 'llava' }),
    ...dtype,
    image_token_index: imageId,
    ...(padId !== undefined && { pad_token_id: padId }),
    ...huggingFacePictures(source),
    image_seq_length: tileFeatures(config),
    projector_hidden_act: 'gelu',
    multimodal_projector_bias: config.projectorBias,
    ...(config.projectorType !== 'mlp2x_gelu' && { mm_projector_type: config.projectorType }),
    vision_feature_layer: featureLayer(config),
    vision_feature_select_strategy: selectStrategy(config),
    tie_word_embeddings: config.language.tieWordEmbeddings,
    text_config: { ...languageJson(source), ...dtype },
    vision_config: visionJson(config, json),
  };
}

/** Whether `transformers` has a class for the way in which this model reads pictures of any shape. */
export function isLlavaNext({ anyres, merge }: LlavaConfig): boolean {
  return anyres !== undefined && anyres.maxTiles === undefined && mergeName(merge) === 'spatial_unpad';
}

/** Other ways are told in the original's keys, which this library reads from Hugging Face's files too. */
function huggingFacePictures({ config, squareMode }: ConfigSource): JsonObject {
  if (isLlavaNext(config)) {
    return { image_grid_pinpoints: pinpoints(config, 'hf'), use_image_newline_parameter: true };
  }
  return pictureKeys(config, squareMode, 'hf');
}

function pictureKeys(config: LlavaConfig, squareMode: string, format: LlavaConfig['format']): JsonObject {
  const { anyres, merge } = config;
  if (!anyres) return { image_aspect_ratio: squareMode };
  return {
    image_aspect_ratio: anyres.maxTiles === undefined ? 'anyres' : `anyres_max_${anyres.maxTiles}`,
    image_grid_pinpoints: pinpoints(config, format),
    mm_patch_merge_type: mergeName(merge),
  };
}

/** The original reads a pair as (width, height), Hugging Face as (height, width): the canvases stay the same ones. */
export function pinpoints({ anyres, format: own }: LlavaConfig, format: LlavaConfig['format']): readonly unknown[] {
  const pairs = anyres?.pinpoints ?? [];
  return own === format ? pairs : pairs.map(([first, second]) => [second, first]);
}

function mergeName({ spatial, maxPool, unpad, base }: LlavaConfig['merge']): string {
  if (!spatial) return 'flat';
  return `spatial${maxPool ? '_maxpool2x2' : ''}${unpad ? '_unpad' : ''}${base ? '' : '_nobase'}`;
}

function tileFeatures({ vision, visionFeatureSelect }: LlavaConfig): number {
  return patchesPerSide(vision) ** 2 + (visionFeatureSelect === 'cls_patch' ? 1 : 0);
}

const featureLayer = ({ visionFeatureLayers: layers }: LlavaConfig): number | readonly number[] =>
  layers.length === 1 ? layers[0]! : layers;

/** `transformers` drops the first token by default, which in towers without a class token is a patch. */
export function selectStrategy({ vision, visionFeatureSelect }: LlavaConfig): 'default' | 'full' {
  return visionFeatureSelect === 'patch' && vision.modelType === 'clip_vision_model' ? 'default' : 'full';
}

/** Class and `model_type` of the original repositories, by language model. */
const ORIGINAL_TYPES: Readonly<Record<string, readonly [architecture: string, type: string]>> = {
  llama: ['LlavaLlamaForCausalLM', 'llava_llama'],
  mistral: ['LlavaMistralForCausalLM', 'llava_mistral'],
  qwen2: ['LlavaQwenForCausalLM', 'llava_qwen'],
};

function originalJson(source: ConfigSource): JsonObject {
  const { config, json, dtype } = source;
  const [architecture, type] = ORIGINAL_TYPES[config.language.modelType]!;
  return {
    ...languageJson(source),
    ...pick(json, SHARED_KEYS),
    architectures: [architecture],
    model_type: type,
    torch_dtype: dtype,
    use_mm_proj: true,
    mm_vision_tower: json.mm_vision_tower ?? towerName(config),
    mm_hidden_size: config.vision.hiddenSize,
    mm_vision_select_layer: featureLayer(config),
    mm_vision_select_feature: config.visionFeatureSelect,
    mm_projector_type: config.projectorType,
    mm_use_im_start_end: json.mm_use_im_start_end ?? false,
    mm_use_im_patch_token: json.mm_use_im_patch_token ?? false,
    ...pictureKeys(config, source.squareMode, 'original'),
    // the tower's weights are in the checkpoint: this makes the original code read them
    unfreeze_mm_vision_tower: true,
    vision_config: visionJson(config, json),
  };
}

/** Name of the published tower of this shape, which the original code builds the tower from; a made-up one else. */
function towerName({ vision }: LlavaConfig): string {
  const { hiddenSize, numHiddenLayers, imageSize, patchSize, modelType } = vision;
  if (modelType === 'siglip_vision_model') {
    return `google/siglip-${hiddenSize === 1152 ? 'so400m' : hiddenSize}-patch${patchSize}-${imageSize}`;
  }
  const isLarge = hiddenSize === 1024 && numHiddenLayers === 24 && patchSize === 14;
  if (isLarge && imageSize === 336) return 'openai/clip-vit-large-patch14-336';
  return isLarge && imageSize === 224
    ? 'openai/clip-vit-large-patch14'
    : `clip-${hiddenSize}-patch${patchSize}-${imageSize}`;
}

function languageJson({ config, json, rows, padId }: ConfigSource): JsonObject {
  const { language } = config;
  const { headDim, hiddenSize, numAttentionHeads } = language;
  const given = (json.text_config ?? json) as JsonObject;
  return {
    ...pick(given, LANGUAGE_KEYS),
    ...ropeJson(language, given),
    model_type: language.modelType,
    vocab_size: rows,
    hidden_size: language.hiddenSize,
    intermediate_size: language.intermediateSize,
    num_hidden_layers: language.numHiddenLayers,
    num_attention_heads: language.numAttentionHeads,
    num_key_value_heads: language.numKeyValueHeads,
    ...(headDim !== hiddenSize / numAttentionHeads && { head_dim: headDim }),
    max_position_embeddings: language.maxPositionEmbeddings,
    rms_norm_eps: language.rmsNormEps,
    hidden_act: language.hiddenAct,
    tie_word_embeddings: language.tieWordEmbeddings,
    ...(padId !== undefined && { pad_token_id: padId }),
  };
}

/** In the form of before transformers 5, which that reads too. */
function ropeJson({ ropeTheta }: LlamaConfig, given: JsonObject): JsonObject {
  const { rope_theta: _, ...scaling } = (given.rope_parameters ?? {}) as JsonObject;
  const isScaled = scaling.rope_type !== undefined && scaling.rope_type !== 'default';
  return { rope_theta: ropeTheta, ...(isScaled && { rope_scaling: scaling }) };
}

function visionJson({ vision }: LlavaConfig, json: JsonObject): JsonObject {
  return {
    ...pick((json.vision_config ?? {}) as JsonObject, VISION_KEYS),
    model_type: vision.modelType,
    ...(vision.modelType === 'siglip_vision_model' && { vision_use_head: vision.useHead }),
    hidden_size: vision.hiddenSize,
    intermediate_size: vision.intermediateSize,
    num_hidden_layers: vision.numHiddenLayers,
    num_attention_heads: vision.numAttentionHeads,
    image_size: vision.imageSize,
    patch_size: vision.patchSize,
    layer_norm_eps: vision.layerNormEps,
    hidden_act: vision.hiddenAct,
  };
}

function pick(json: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(keys.filter(key => json[key] !== undefined).map(key => [key, json[key]]));
}

/** Numbers that `transformers` wants written with a point, which JSON of JavaScript leaves out after whole ones. */
const FLOAT_KEYS =
  /^(\s*"(?:attention_dropout|initializer_factor|initializer_range|rope_theta|factor|rms_norm_eps|layer_norm_eps)": )(\d+)(,?)$/gm;

/** The text of a `config.json`. */
export function formatConfig(json: JsonObject): string {
  return `${JSON.stringify(json, null, 2).replace(FLOAT_KEYS, '$1$2.0$3')}\n`;
}
