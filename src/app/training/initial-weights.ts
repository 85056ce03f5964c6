/** @file Where each weight of a stage starts: at an earlier stage's or checkpoint's value, or at random. */

import { join } from 'node:path';
import { castFloat, type HostTensor, LlavaError } from '../../core/index.ts';
import { openModelFolder } from '../../engine/index.ts';
import {
  initialTensor,
  isLanguageConfig,
  isOriginalLlava,
  type ModelConfig,
  nameRules,
  originalTower,
  ourName,
  parseModelConfig,
} from '../../models/index.ts';
import type { Stage } from '../../train/index.ts';
import { openWeights, readJson, readTensor, type WeightEntry } from '../../weights/index.ts';

/** A checkpoint folder: its configuration and its weights under our names. */
export interface Checkpoint {
  readonly config: ModelConfig;
  readonly json: Readonly<Record<string, unknown>>;
  readonly entries: ReadonlyMap<string, WeightEntry>;
}

/** Reads the headers of a checkpoint folder; of an original LLaVA's, those of its vision tower too. */
export function openCheckpoint(folder: string): Checkpoint {
  const file = join(folder, 'config.json');
  const json = readJson(file);
  if (isOriginalLlava(json)) return openOriginal(folder, json as Checkpoint['json']);
  const config = parseModelConfig(json, file);
  const entries = new Map<string, WeightEntry>();
  for (const entry of openWeights(folder).entries.values()) {
    const name = ourName(nameRules(config), entry.name);
    if (name) entries.set(name, entry);
  }
  return { config, json: json as Checkpoint['json'], entries };
}

/** The tower's configuration goes into the file, so that what is trained is whole. */
function openOriginal(folder: string, json: Checkpoint['json']): Checkpoint {
  const { config, weights, tower } = openModelFolder(folder);
  if (![...weights.keys()].some(name => name.startsWith('vision_tower.'))) {
    throw new LlavaError(`${folder}: expected the folder of ${originalTower(json)} beside it to train on, got none`);
  }
  const vision = tower && { vision_config: tower.json.vision_config ?? tower.json };
  return { config, json: { ...json, ...vision }, entries: weights };
}

/** Name of a LLaVA's weight inside the checkpoint that a part of it comes from. */
const PART_NAMES: readonly {
  part: keyof Stage['init'];
  prefix: string;
  /** Type of the checkpoint that is the part itself, whose names have no prefix; those of a LLaVA have. */
  isPart: (config: ModelConfig) => boolean;
}[] = [
  { part: 'vision', prefix: 'vision_tower.', isPart: config => config.modelType === 'clip' },
  { part: 'language', prefix: 'language_model.', isPart: isLanguageConfig },
];

/** Gives the initial tensor of each parameter of a stage. `folderOf` turns a name in `init` into a folder. */
export function initialWeights(
  stage: Stage,
  layers: (name: string) => number,
  folderOf: (name: string) => string,
): (name: string, shape: readonly number[]) => HostTensor {
  const open = (name: string | undefined) => (name === undefined ? undefined : openCheckpoint(folderOf(name)));
  const all = open(stage.init.all);
  const parts = PART_NAMES.map(part => ({ ...part, checkpoint: open(stage.init[part.part]) }));
  return (name, shape) => {
    const stored = all?.entries.get(name) ?? partEntry(parts, name);
    if (stored) return checkedTensor(stored, name, shape);
    return initialTensor(name, shape, layers(name), stage.seed);
  };
}

function partEntry(
  parts: readonly ((typeof PART_NAMES)[number] & { checkpoint: Checkpoint | undefined })[],
  name: string,
): WeightEntry | undefined {
  const part = parts.find(({ prefix }) => name.startsWith(prefix));
  if (!part?.checkpoint) return undefined;
  const { config, entries } = part.checkpoint;
  const isWhole = config.modelType === 'llava';
  return isWhole || part.isPart(config) ? entries.get(isWhole ? name : name.slice(part.prefix.length)) : undefined;
}

function checkedTensor(entry: WeightEntry, name: string, shape: readonly number[]): HostTensor {
  if (entry.shape.join() !== shape.join()) {
    throw new LlavaError(`${entry.file}: expected ${name} of shape [${shape}], got [${entry.shape}]`);
  }
  return castFloat(readTensor(entry), 'f32');
}
