/** @file Writes a trained stage as a checkpoint folder in Hugging Face form: configuration, weights, tokenizer, processor. */

import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostTensor } from '../../core/index.ts';
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
      Array.from(values, ([name, tensor]) => tensorSource(name, tensor)),
    );
    const tokenizer = join(output, TOKENIZER_FOLDER);
    for (const file of await readdir(tokenizer)) await copyFile(join(tokenizer, file), join(temporary, file));
    await writeJson(join(temporary, 'config.json'), { ...model.json, ...stageKeys(stage) });
    if (model.config.modelType !== 'llama')
      await writeJson(join(temporary, 'preprocessor_config.json'), imageSettingsJson(model));
  });
}

/** Our own key of the configuration: the template that the model was trained with. */
function stageKeys(stage: Stage): object {
  return stage.kind === 'finetune' || stage.kind === 'projector' ? { conversation_template: stage.template } : {};
}

async function writeJson(file: string, value: object): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
