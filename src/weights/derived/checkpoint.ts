/**
 * @file A model's folder and the base it may need, opened as one set of weights. What a folder is, its files tell: an
 * adapter, a projector alone, weights that are differences to a base, or all of a model.
 */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { quoteName } from '../files.ts';
import { hasWeights, openWeights, type WeightStore, weightStore } from '../sharded.ts';
import type { WeightEntry } from '../tensor-entry.ts';
import { openTorch } from '../torch/torch-file.ts';
import { applyDelta } from './delta.ts';
import { applyLora, isLoraFolder, loraBase } from './lora.ts';

/** The projector that stage 1 of LLaVA's training saves. */
export const PROJECTOR_FILE = 'mm_projector.bin';

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer.model', 'vocab.json'];

/**
 * Opens the weights of a folder; reads headers only.
 * @param base folder of the model that the folder's weights are to be applied to
 * @throws LlavaError when a base is missing, is not needed or does not fit
 */
export function openCheckpoint(folder: string, base?: string): WeightStore {
  const root = resolve(folder);
  checkBase(root, base);
  if (isLoraFolder(root)) return applyLora(root, openWeights(base!));
  if (hasWeights(root))
    return base === undefined ? openWeights(root) : applyDelta(openWeights(root), openWeights(base));
  if (existsSync(join(root, PROJECTOR_FILE))) return applyProjector(root, openWeights(base!));
  return openWeights(root);
}

/** Throws when the weights in `folder` are nothing without a base, and there is none. */
export function checkBase(folder: string, base: string | undefined): void {
  if (base !== undefined) return;
  const fail = (what: string): never => {
    throw new LlavaError(`${folder}: expected a base model (option modelBase) for ${what}, got none`);
  };
  if (isLoraFolder(folder)) {
    const trainedOn = loraBase(folder);
    fail(trainedOn === undefined ? 'an adapter' : `an adapter, which says that it is ${quoteName(trainedOn)}`);
  }
  if (!hasWeights(folder) && existsSync(join(folder, PROJECTOR_FILE))) fail('a projector alone');
}

/** The base with the projector of a folder. Names end as in the model; whatever stands before `mm_projector.` is dropped. */
function applyProjector(folder: string, base: WeightStore): WeightStore {
  const file = join(folder, PROJECTOR_FILE);
  const entries = new Map<string, WeightEntry>(base.entries);
  for (const [stored, entry] of openTorch(file)) {
    const [, rest] = /mm_projector\.(.*)$/.exec(stored) ?? [];
    const name = rest === undefined ? stored : `model.mm_projector.${rest}`;
    if (rest === undefined && !isGrown(entry, base.entries.get(name))) {
      throw new LlavaError(
        `${file}: expected a projector and embeddings of the base ${base.folder}, got ${name} [${entry.shape}]`,
      );
    }
    entries.set(name, { ...entry, name });
  }
  return weightStore(folder, entries, base.metadata);
}

/** Embeddings that were trained together with the projector: as many as the base has, or more. */
function isGrown({ shape }: WeightEntry, base: WeightEntry | undefined): boolean {
  return base !== undefined && shape.length === 2 && shape[1] === base.shape[1] && shape[0]! >= base.shape[0]!;
}

/** The first of `folders` that has a file, as its path: a model's own, then its base's; undefined when none has. */
export function findFile(name: string, folders: readonly string[]): string | undefined {
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}

/** The first of `folders` that has a tokenizer, else the first. */
export function tokenizerFolder(folders: readonly string[]): string {
  return folders.find(folder => TOKENIZER_FILES.some(name => existsSync(join(folder, name)))) ?? folders[0]!;
}
