/** @file Writes a trained stage as a checkpoint folder in Hugging Face form: configuration, weights, tokenizer, processor. */

import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { castFloat, type HostTensor } from '../../core/index.ts';
import { isLanguageConfig } from '../../models/index.ts';
import type { Stage } from '../../train/index.ts';
import { saveFolderAtomic, saveWeights, tensorSource } from '../../weights/index.ts';
import { imageSettingsJson, type StageModel } from './stage-model.ts';

/** Folder inside a recipe's output that holds the tokenizer of all its stages. */
export const TOKENIZER_FOLDER = 'tokenizer';

/** Saves the stage's model into `folder`, with `values` as its weights. */
export async function saveStageModel(
  folder: string,
  stage: Stage,
  model: StageModel,
  values: ReadonlyMap<string, HostTensor>,
  output: string,
): Promise<void> {
  await saveFolderAtomic(folder, async temporary => {
    await saveWeights(
      temporary,
      Array.from(values, ([name, tensor]) => tensorSource(name, castFloat(tensor, stage.saveDtype))),
    );
    const tokenizer = join(output, TOKENIZER_FOLDER);
    for (const file of await readdir(tokenizer)) await copyFile(join(tokenizer, file), join(temporary, file));
    await writeJson(join(temporary, 'config.json'), { ...model.json, ...stageKeys(stage) });
    for (const [name, json] of processorFiles(model)) await writeJson(join(temporary, name), json);
  });
}

/** What Python's `AutoProcessor` reads; `num_additional_image_tokens` is CLIP's class token. */
function processorFiles(model: StageModel): [string, object][] {
  if (isLanguageConfig(model.config)) return [];
  const files: [string, object][] = [['preprocessor_config.json', imageSettingsJson(model)]];
  if (model.config.modelType === 'clip') return files;
  const { vision, visionFeatureSelect } = model.config;
  const isNext = model.json.model_type === 'llava_next';
  const hasClassToken = vision.modelType === 'clip_vision_model';
  const processor = {
    processor_class: isNext ? 'LlavaNextProcessor' : 'LlavaProcessor',
    image_token: '<image>',
    patch_size: vision.patchSize,
    num_additional_image_tokens: hasClassToken ? 1 : 0,
    vision_feature_select_strategy: hasClassToken && visionFeatureSelect === 'patch' ? 'default' : 'full',
  };
  return [...files, ['processor_config.json', processor]];
}

/** Names of element types in `config.json`. */
const DTYPE_NAMES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** What the stage adds to the configuration: the weights' type and, as our own key, the template it was trained with. */
function stageKeys({ kind, template, saveDtype }: Stage): object {
  const dtype = { dtype: DTYPE_NAMES[saveDtype] };
  return kind === 'finetune' || kind === 'projector' ? { ...dtype, conversation_template: template } : dtype;
}

async function writeJson(file: string, value: object): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
