/** @file The processor of a model folder: tokenizer, prompts and image settings. Needs no weights. */

import { LlavaError } from '../core/index.ts';
import type { Processor } from '../processor/index.ts';
import { chooseEncoding, chooseTemplate, type PromptOptions } from './choose-template.ts';
import type { ModelFiles } from './model-folder.ts';

/** Throws {@link LlavaError} that names the file at fault. */
export function openProcessor(folder: ModelFiles, options: PromptOptions = {}): Processor {
  const tokenizer = folder.tokenizer();
  const rows = folder.language.vocabSize;
  if (tokenizer.vocabSize > rows) {
    throw new LlavaError(
      `${folder.folder}: expected a tokenizer of at most ${rows} tokens, the rows of the embedding, got ${tokenizer.vocabSize}`,
    );
  }
  const { config, image } = folder;
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
