/** @file A model as GGUF files for llama.cpp, with the Jinja text of its conversation template. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { saveFolderAtomic } from '../../weights/index.ts';
import { chooseTemplate } from '../choose-template.ts';
import { type GgufDtype, writeGgufPair } from '../gguf/write-pair.ts';
import type { ModelFolder } from '../model-folder.ts';
import { chatTemplate } from './chat-template.ts';

/** How {@link writeGgufFolder} writes. */
export interface GgufFolderOptions {
  readonly dtype: GgufDtype;
  readonly onProgress: (bytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes the new folder `target`, all or nothing.
 * @throws LlavaError also when it holds anything already
 */
export async function writeGgufFolder(model: ModelFolder, target: string, options: GgufFolderOptions): Promise<void> {
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new LlavaError(`${target}: expected a new or empty folder, got one that holds files`);
  }
  const { dtype, onProgress, signal } = options;
  await saveFolderAtomic(target, async temporary => {
    await writeGgufPair(model, temporary, {
      dtype,
      chatTemplate: jinjaOf(model),
      onProgress: ({ bytes, totalBytes }) => onProgress(bytes, totalBytes),
      ...(signal && { signal }),
    });
  });
}

/** The model's own text, else that of the template that it is asked with. */
function jinjaOf(model: ModelFolder): string {
  const own = join(model.folder, 'chat_template.jinja');
  return existsSync(own) ? readFileSync(own, 'utf8') : chatTemplate(chooseTemplate(model, model.tokenizer()));
}
