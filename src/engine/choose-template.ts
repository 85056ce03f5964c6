/** @file How a model is asked: which template writes its prompts, and how the text around images is encoded. */

import {
  getTemplate,
  IMAGE_MARK,
  type PromptEncoding,
  selectTemplate,
  type Template,
  type Tokenizer,
} from '../processor/index.ts';
import type { ModelFiles } from './model-folder.ts';

/**
 * The caller's template; else the one in config.json; else what LLaVA's command line picks by the model's name; and where
 * no name says anything, that of the layout: Hugging Face's prompt where the tokenizer knows `<image>`.
 */
export function chooseTemplate(
  { name, template, config }: Pick<ModelFiles, 'name' | 'template' | 'config'>,
  tokenizer: Tokenizer,
  wanted?: string,
): Template {
  const stated = wanted ?? template;
  if (stated !== undefined) return getTemplate(stated);
  if (config.modelType !== 'llava')
    return getTemplate(name.toLowerCase().includes('llama-2') ? 'llama_2' : 'vicuna_v1');
  const named = selectTemplate(name);
  const isHuggingFace = tokenizer.tokenToId(IMAGE_MARK) !== undefined;
  return named.name === 'llava_v0' && isHuggingFace ? getTemplate('hf_llava_1_5') : named;
}

/**
 * Text around images is encoded as the model was trained: by this library, which states the template in config.json, and
 * with the prompts of Hugging Face, as a whole; with the original's, chunk by chunk. A tokenizer that does not know
 * `<image>` leaves no choice.
 */
export function chooseEncoding(
  { template: stated }: Pick<ModelFiles, 'template'>,
  tokenizer: Tokenizer,
  template: Template,
): PromptEncoding {
  if (tokenizer.tokenToId(IMAGE_MARK) === undefined) return 'llava';
  return stated !== undefined || template.name.startsWith('hf_') ? 'hf' : 'llava';
}
