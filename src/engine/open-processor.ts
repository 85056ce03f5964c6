/** @file The processor of a model folder: tokenizer, prompts and image settings. Needs no weights. */

import { LlavaError } from '../core/index.ts';
import type { Processor, Tokenizer } from '../processor/index.ts';
import { chooseEncoding, chooseTemplate, type PromptOptions } from './choose-template.ts';
import type { ModelFiles } from './model-folder.ts';

/** Throws {@link LlavaError} that names the file at fault. */
export function openProcessor(folder: ModelFiles, options: PromptOptions = {}): Processor {
  const tokenizer = folder.tokenizer();
  checkTokenizerSize(folder.folder, tokenizer, folder.language.vocabSize);
  const { config, image } = folder;
  if (config.modelType === 'llava' && config.usesImageMarkers) checkMarkers(folder, tokenizer);
  const vision = config.modelType === 'llava' && image && { config, ...image };
  const chosen = chooseTemplate(folder, tokenizer, options);
  return {
    tokenizer,
    template: chosen,
    encoding: chooseEncoding(folder, tokenizer, chosen, options),
    imageMarkers: config.modelType === 'llava' && config.usesImageMarkers,
    ...(vision && { vision }),
  };
}

/** Throws {@link LlavaError} when the tokenizer has more tokens than the embedding has `rows`. */
export function checkTokenizerSize(where: string, tokenizer: Tokenizer, rows: number): void {
  if (tokenizer.vocabSize <= rows) return;
  throw new LlavaError(
    `${where}: expected a tokenizer of at most ${rows} tokens, the rows of the embedding, got ${tokenizer.vocabSize}`,
  );
}

/** `mm_use_im_start_end`: the tokens around images were trained, so they cannot be made up here. */
function checkMarkers({ folder }: ModelFiles, tokenizer: Tokenizer): void {
  const missing = ['<im_start>', '<im_end>'].filter(token => tokenizer.tokenToId(token) === undefined);
  if (missing.length === 0) return;
  throw new LlavaError(
    `${folder}: expected a tokenizer with <im_start> and <im_end>, since config.json says mm_use_im_start_end, ` +
      `got one without ${missing.join(' and ')}`,
  );
}
