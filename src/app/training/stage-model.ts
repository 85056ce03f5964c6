/** @file The model of a stage: its configuration, put together from the recipe and earlier stages, and its objective. */

import { LlavaError } from '../../core/index.ts';
import { type JsonObject, type ModelConfig, maxImageTokens, parseModelConfig } from '../../models/index.ts';
import {
  formatImageSettings,
  type ImageSettings,
  parseImageSettings,
  preprocessImage,
  type RgbImage,
  type Tokenizer,
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
  readonly preprocess: (image: RgbImage) => Float32Array;
  readonly imageSize: number;
  readonly imageTokens: number;
}

/** The model that `stage` trains. `folderOf` turns a name in `init` into a folder. */
export function stageModel(stage: Stage, tokenizer: Tokenizer, folderOf: (name: string) => string): StageModel {
  const json = modelJson(stage, tokenizer, folderOf);
  const config = parseModelConfig(json, `stage ${stage.name}`);
  const imageSize = config.modelType === 'llama' ? 0 : config.vision.imageSize;
  const imageSettings = squareSettings(imageSize);
  return {
    config,
    json,
    objective: objectiveOf(stage, config),
    imageSettings,
    preprocess: image => preprocessImage(image, imageSettings).data as Float32Array,
    imageSize,
    imageTokens: config.modelType === 'llava' ? maxImageTokens(config) : 0,
  };
}

/** CLIP's processor at another size. */
function squareSettings(size: number): ImageSettings {
  const json = { size: { shortest_edge: size }, crop_size: { height: size, width: size } };
  return parseImageSettings({ ...json, do_resize: size > 0, do_center_crop: size > 0 }, 'stage');
}

/** The content of `preprocessor_config.json`. */
export function imageSettingsJson(model: StageModel): JsonObject {
  return formatImageSettings(model.imageSettings);
}

function objectiveOf(stage: Stage, config: ModelConfig): Objective {
  if (stage.kind === 'clip' && config.modelType === 'clip') return clipObjective(config);
  if (stage.kind === 'language' && config.modelType === 'llama') return languageObjective(config);
  if (config.modelType === 'llava' && stage.kind !== 'clip' && stage.kind !== 'language') return llavaObjective(config);
  throw new LlavaError(`stage ${stage.name}: expected a model for ${stage.kind} training, got ${config.modelType}`);
}

function modelJson(stage: Stage, tokenizer: Tokenizer, folderOf: (name: string) => string): JsonObject {
  const { init, model } = stage;
  if (init.all !== undefined) return { ...openCheckpoint(folderOf(init.all)).json, ...model };
  if (!model) throw new LlavaError(`stage ${stage.name}: expected model or init.all, got neither`);
  const ids = { bos_token_id: tokenizer.bosId, eos_token_id: tokenizer.eosId, pad_token_id: tokenizer.padId };
  const text = { vocab_size: tokenizer.vocabSize, ...ids };
  if (model.model_type === 'llama') return { architectures: ['LlamaForCausalLM'], ...text, ...model };
  if (model.model_type === 'clip') {
    return { architectures: ['CLIPModel'], ...model, text_config: { ...text, ...(model.text_config as object) } };
  }
  return {
    architectures: ['LlavaForConditionalGeneration'],
    image_token_index: tokenizer.tokenToId('<image>'),
    ...model,
    vision_config: { ...partConfig(init.vision, folderOf, 'vision'), ...(model.vision_config as object) },
    text_config: { ...text, ...partConfig(init.language, folderOf, 'text'), ...(model.text_config as object) },
  };
}

/** The configuration of the tower or language model that a LLaVA takes over from a checkpoint. */
function partConfig(name: string | undefined, folderOf: (name: string) => string, part: 'vision' | 'text'): JsonObject {
  if (name === undefined) return {};
  const json = openCheckpoint(folderOf(name)).json;
  const inner = (json[`${part}_config`] ?? json) as JsonObject;
  return { ...inner, model_type: part === 'vision' ? 'clip_vision_model' : 'llama' };
}
