/**
 * @file The vision tower of original checkpoints, which only name the repository it comes from: v1 and v1.5 carry no tower
 * at all, 1.6 and LLaVA-Med v1.5 carry its weights but not its configuration. A tower's folder is a whole CLIP or SigLIP, or
 * its vision half alone.
 */

import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LlavaError } from '../core/index.ts';
import { isOriginalLlava, type JsonObject, originalTower, ourName, TOWER_NAMES } from '../models/index.ts';
import { findFile, openCheckpoint, openWeights, readJson, type WeightEntry } from '../weights/index.ts';

/** A tower's folder and its decoded `config.json`. */
export interface TowerFolder {
  readonly folder: string;
  readonly json: JsonObject;
}

/**
 * The folder of the tower that an original configuration names: `given`, else one of that name inside the model's folder, beside it,
 * or, for `org/name`, beside the folder that holds it. Undefined for other configurations and where there is none.
 * @param given the caller's choice; throws {@link LlavaError} where it holds no configuration
 */
export function findTower(root: string, json: unknown, given: string | undefined): TowerFolder | undefined {
  if (!isOriginalLlava(json)) {
    if (given === undefined) return undefined;
    throw new LlavaError(`option visionTower: expected a model without a vision tower of its own, got ${root}`);
  }
  const folder = given === undefined ? besides(root, originalTower(json)!) : resolve(given);
  if (folder === undefined) return undefined;
  return { folder, json: readJson(join(folder, 'config.json'), "a vision tower's configuration") as JsonObject };
}

function besides(root: string, name: string): string | undefined {
  const parts = name.split('/').filter(part => !/^\.*$/.test(part));
  const last = parts.at(-1);
  if (last === undefined) return undefined;
  const candidates = [
    join(root, last),
    join(dirname(root), last),
    ...(parts.length === 2 ? [join(dirname(root), ...parts), join(dirname(dirname(root)), ...parts)] : []),
  ];
  return candidates.find(folder => existsSync(join(folder, 'config.json')));
}

/** The tower's weights by our names. Throws {@link LlavaError} where the folder holds weights of another kind. */
export function towerWeights({ folder }: TowerFolder): Map<string, WeightEntry> {
  const named = new Map<string, WeightEntry>();
  const strange: string[] = [];
  for (const entry of openWeights(folder).entries.values()) {
    const name = ourName(TOWER_NAMES, entry.name);
    if (name) named.set(name, entry);
    else if (name === undefined) strange.push(entry.name);
  }
  if (strange.length === 0) return named;
  throw new LlavaError(`${folder}: expected weights of CLIP or SigLIP, got ${strange.slice(0, 8).join(', ')}`);
}

/** Whether `weights`, by our names, hold a vision tower. */
export function hasTower(weights: ReadonlyMap<string, WeightEntry>): boolean {
  return [...weights.keys()].some(name => name.startsWith('vision_tower.'));
}

/**
 * The repository of the vision tower where `path` holds a model that lacks its tower and has no folder of it near; else
 * undefined. The name is safe to look up: it has the form of a repository's.
 */
export function missingTower(path: string, modelBase?: string): string | undefined {
  const root = resolve(path);
  const file = findFile('config.json', modelBase === undefined ? [root] : [root, modelBase]);
  const json = file === undefined ? undefined : readJson(file);
  if (!isOriginalLlava(json) || findTower(root, json, undefined)) return undefined;
  const isInside = [...openCheckpoint(root, modelBase).entries.keys()].some(name => name.includes('vision_tower.'));
  const name = originalTower(json)!;
  return !isInside && /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(name) ? name : undefined;
}

/** The error for a model whose tower is nowhere. */
export function noTowerError(folders: readonly string[]): LlavaError {
  const name = originalTower(readJson(findFile('config.json', folders)!))!;
  return new LlavaError(
    `${folders[0]}: expected weights of the vision tower, or the folder of ${name} beside the model's (${basename(name)}) ` +
      'or as option visionTower, got neither',
  );
}
