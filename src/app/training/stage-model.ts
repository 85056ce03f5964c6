/** @file The model of a stage: its configuration, put together from the recipe and earlier stages, and its objective. */

import { LlavaError } from '../../core/index.ts';
import type { ImageRows } from '../../data/index.ts';
import {
  featureRows,
  imageLayout,
  isLanguageConfig,
  type JsonObject,
  type LanguageType,
  type LlavaConfig,
  type ModelConfig,
  parseModelConfig,
} from '../../models/index.ts';
import {
  formatImageSettings,
  type ImageSettings,
  parseImageSettings,
  preprocessImage,
  preprocessTiles,
  type RgbImage,
  type Tokenizer,
  towerImageSettings,
} from '../../processor/index.ts';
import { clipObjective, languageObjective, llavaObjective, type Objective, type Stage } from '../../train/index.ts';
import { openCheckpoint } from './initial-weights.ts';

/** A model to train, and how its images are prepared. */
export interface StageModel {
  readonly config: ModelConfig;
  /** The `config.json` to write. */
  readonly json: JsonObject;
  readonly objective: Objective;
  readonly imageSettings: ImageSettings;
  /** Pixels of an image, [tiles, 3, S, S]. */
  readonly preprocess: (image: RgbImage) => Float32Array;
  readonly imageSize: number;
  /** Which rows of features stand in the positions of an image. */
  readonly imageRows: (image: RgbImage) => ImageRows;
}

/** The model that `stage` trains. `folderOf` turns a name in `init` into a folder. */
export function stageModel(stage: Stage, tokenizer: Tokenizer, folderOf: (name: string) => string): StageModel {
  const json = modelJson(stage, tokenizer, folderOf);
  const config = parseModelConfig(json, `stage ${stage.name}`);
  const imageSize = isLanguageConfig(config) ? 0 : config.vision.imageSize;
  const imageSettings = stageImageSettings(config);
  return {
    config,
    json,
    objective: objectiveOf(stage, config),
    imageSettings,
    imageSize,
    ...(config.modelType === 'llava' ? tiledImages(config, imageSettings) : squareImages(imageSettings)),
  };
}

type ImageFunctions = Pick<StageModel, 'preprocess' | 'imageRows'>;

/** Images as a LLaVA that answers reads them. */
function tiledImages(config: LlavaConfig, settings: ImageSettings): ImageFunctions {
  const mode = config.squareMode ?? 'square';
  return {
    preprocess: image => preprocessTiles(image, imageLayout(config, image), settings, mode).data as Float32Array,
    imageRows: image => {
      const layout = imageLayout(config, image);
      const rows = featureRows(layout);
      if (rows) return { rows, featureRows: layout.tiles * layout.featuresPerTile };
      throw new LlavaError(
        `image of ${image.width} × ${image.height}: expected one whose features are not scaled down, ` +
          `since training cannot, got ${layout.tiles} tiles`,
      );
    },
  };
}

/** Images of models that put none into a sequence. */
function squareImages(settings: ImageSettings): ImageFunctions {
  return {
    preprocess: image => preprocessImage(image, settings).data as Float32Array,
    imageRows: () => ({ rows: [], featureRows: 0 }),
  };
}

/** Those of the tower; a language model alone scales nothing. */
function stageImageSettings(config: ModelConfig): ImageSettings {
  const json = isLanguageConfig(config)
    ? { do_resize: false, do_center_crop: false }
    : towerImageSettings(config.vision);
  return parseImageSettings(json, 'stage');
}

/** The content of `preprocessor_config.json`. */
export function imageSettingsJson(model: StageModel): JsonObject {
  const settings = formatImageSettings(model.imageSettings);
  if (model.json.model_type !== 'llava_next' || model.config.modelType !== 'llava') return settings;
  const next = { image_processor_type: 'LlavaNextImageProcessor', do_pad: true };
  return { ...settings, ...next, image_grid_pinpoints: model.config.anyres?.pinpoints };
}

function objectiveOf(stage: Stage, config: ModelConfig): Objective {
  if (stage.kind === 'clip' && config.modelType === 'clip') return clipObjective(config);
  if (stage.kind === 'language' && isLanguageConfig(config)) return languageObjective(config);
  if (config.modelType === 'llava' && stage.kind !== 'clip' && stage.kind !== 'language') return llavaObjective(config);
  throw new LlavaError(`stage ${stage.name}: expected a model for ${stage.kind} training, got ${config.modelType}`);
}

/** Names of the classes in `transformers`. */
const LANGUAGE_ARCHITECTURES: { readonly [T in LanguageType]: string } = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
};

function modelJson(stage: Stage, tokenizer: Tokenizer, folderOf: (name: string) => string): JsonObject {
  const { init, model } = stage;
  if (init.all !== undefined) return { ...openCheckpoint(folderOf(init.all)).json, ...model };
  if (!model) throw new LlavaError(`stage ${stage.name}: expected model or init.all, got neither`);
  const ids = { bos_token_id: tokenizer.bosId, eos_token_id: tokenizer.eosId, pad_token_id: tokenizer.padId };
  const text = { vocab_size: tokenizer.vocabSize, ...ids };
  const architecture = LANGUAGE_ARCHITECTURES[model.model_type as LanguageType];
  if (architecture) return { architectures: [architecture], ...text, ...model };
  if (model.model_type === 'clip') {
    return { architectures: ['CLIPModel'], ...model, text_config: { ...text, ...(model.text_config as object) } };
  }
  return {
    architectures: [
      model.model_type === 'llava_next' ? 'LlavaNextForConditionalGeneration' : 'LlavaForConditionalGeneration',
    ],
    image_token_index: tokenizer.tokenToId('<image>'),
    ...model,
    vision_config: { ...partConfig('vision', init.vision, folderOf), ...(model.vision_config as object) },
    text_config: { ...text, ...partConfig('language', init.language, folderOf), ...(model.text_config as object) },
  };
}

/** The configuration of the tower or language model that a LLaVA takes over from a checkpoint. */
function partConfig(part: Part, name: string | undefined, folderOf: (name: string) => string): JsonObject {
  if (name === undefined) return {};
  const { config, json } = openCheckpoint(folderOf(name));
  const inner = (json[part === 'vision' ? 'vision_config' : 'text_config'] ?? json) as JsonObject;
  return { ...inner, model_type: partType(part, name, config) };
}

type Part = 'vision' | 'language';

function partType(part: Part, name: string, config: ModelConfig): string {
  if (config.modelType === 'llava') return config[part].modelType;
  if (part === 'vision' && config.modelType === 'clip') return 'clip_vision_model';
  if (part === 'language' && isLanguageConfig(config)) return config.modelType;
  throw new LlavaError(`init.${part}: expected a checkpoint with a ${part} model, got ${name}, a ${config.modelType}`);
}
