/** @file Folders in the layout of the original repositories, from goldens in Hugging Face's. */

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostTensor } from '../../../src/core/index.ts';
import { type JsonObject, LLAVA_NAMES, ourName } from '../../../src/models/index.ts';
import { openWeights, readJson, saveWeights, tensorSource } from '../../../src/weights/index.ts';
import { NEXT_FOLDER } from './next-golden.ts';

/** The weights of a golden by the names of the published llava-hf files. */
export function hubWeights(folder: string): Map<string, HostTensor> {
  const store = openWeights(folder);
  return new Map([...store.entries.keys()].map(name => [ourName(LLAVA_NAMES, name)!, store.read(name)]));
}

/** A published llava-hf name → the original repository's. */
export function originalName(name: string): string {
  return name
    .replace(/^language_model\.lm_head/, 'lm_head')
    .replace(/^language_model\.model/, 'model')
    .replace(/^multi_modal_projector\.linear_1/, 'model.mm_projector.0')
    .replace(/^multi_modal_projector\.linear_2/, 'model.mm_projector.2')
    .replace(/^vision_tower\./, 'model.vision_tower.vision_tower.')
    .replace(/^image_newline/, 'model.image_newline');
}

/** Writes the golden's weights under other names. */
export async function saveNamed(folder: string, rename: (name: string) => string): Promise<void> {
  const sources = Array.from(hubWeights(NEXT_FOLDER), ([name, tensor]) => tensorSource(rename(name), tensor));
  await saveWeights(folder, sources);
}

const HF_CONFIG = readJson(join(NEXT_FOLDER, 'config.json')) as JsonObject;

/** The config.json of the golden as the original repository would write it. */
export const NEXT_CONFIG: JsonObject = {
  ...(HF_CONFIG.text_config as JsonObject),
  model_type: 'llava_llama',
  architectures: ['LlavaLlamaForCausalLM'],
  mm_vision_tower: 'openai/tiny-clip',
  mm_hidden_size: 16,
  mm_projector_type: 'mlp2x_gelu',
  mm_vision_select_layer: -2,
  mm_vision_select_feature: 'patch',
  mm_patch_merge_type: 'spatial_unpad',
  mm_use_im_start_end: false,
  mm_use_im_patch_token: false,
  image_aspect_ratio: 'anyres',
  image_grid_pinpoints: HF_CONFIG.image_grid_pinpoints,
  tokenizer_model_max_length: 4096,
  unfreeze_mm_vision_tower: true,
};

/** Writes `llava-v1.6-tiny` with its tower's weights inside, and beside it `tiny-clip` with the tower's configuration alone. */
export async function writeOriginalNext(folder: string): Promise<void> {
  const [model, tower] = [join(folder, 'llava-v1.6-tiny'), join(folder, 'tiny-clip')];
  mkdirSync(model);
  mkdirSync(tower);
  await saveNamed(model, originalName);
  writeFileSync(join(model, 'config.json'), JSON.stringify(NEXT_CONFIG));
  writeTokenizer(model);
  writeFileSync(
    join(tower, 'config.json'),
    JSON.stringify({ model_type: 'clip', vision_config: HF_CONFIG.vision_config }),
  );
}

/** The slow tokenizer's files, which know no `<image>`. */
function writeTokenizer(folder: string): void {
  copyFileSync(join(NEXT_FOLDER, 'tokenizer.model'), join(folder, 'tokenizer.model'));
  const json = {
    tokenizer_class: 'LlamaTokenizer',
    legacy: false,
    bos_token: '<s>',
    eos_token: '</s>',
    unk_token: '<unk>',
  };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(json));
}
