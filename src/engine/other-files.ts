/** @file What a model's folder holds beside its weights: configuration, tokenizer, processor and generation settings. */

import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { VOCABULARY_FILE } from './gguf/vocabulary.ts';

const WEIGHT_FILES = /\.(safetensors|bin|gguf|pt|pth|msgpack|h5|onnx)$|\.index\.json$/;

/** Copies these files from one folder to another. */
export async function copyOtherFiles(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const isWeights = WEIGHT_FILES.test(entry.name) && entry.name !== VOCABULARY_FILE;
    if (entry.isDirectory() || isWeights) continue;
    await copyFile(join(from, entry.name), join(to, entry.name));
  }
}
