/** @file Quantised copies in the cache, for models that are asked for in a form that they are not stored in. */

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cacheFolder, LlavaError } from '../../core/index.ts';
import {
  namedPlan,
  PLAN_NAMES,
  type PlanName,
  planName,
  type Quantization,
  type WeightFormat,
} from '../../models/index.ts';
import { readModelFiles } from '../model-folder.ts';
import { MIGRATED_FORMATS } from './calibrate.ts';
import { type QuantizeOptions, quantizeModel } from './quantize.ts';
import { suitableFormat } from './suitable-format.ts';

/** A form of the weights, a mixed plan, or `auto`: as they are stored if that is no float form, else what suits the processor. */
export type QuantChoice = PlanName | 'auto';

/** All choices. */
export const QUANT_CHOICES: readonly QuantChoice[] = ['auto', ...PLAN_NAMES];

/**
 * A folder with the model in `source` in the wanted form: the folder itself where it is stored so, else a copy in the cache,
 * made the first time. Tied to the source's files by their names, sizes and times of change. Forms that lose little are not
 * calibrated unless that is asked for: somebody waits.
 */
export async function quantizedFolder(
  source: string,
  choice: QuantChoice,
  options: Omit<QuantizeOptions, 'quantization'> = {},
): Promise<string> {
  const files = readModelFiles(source, options.files);
  const { folder, quantization } = files;
  const { mmproj, visionTower } = options.files ?? {};
  const folders = [...files.folders, ...(mmproj === undefined ? [] : [mmproj])];
  const stored = quantization ? planName(quantization) : 'float';
  const name = choice === 'auto' ? (quantization ? stored : await suitableFormat()) : choice;
  if (stored === name) return source;
  if (quantization) {
    throw new LlavaError(`${source}: expected float weights, which ${name} is made from, got ${stored} already`);
  }
  const plan = namedPlan(name);
  const made = { ...options, calibration: options.calibration ?? (losesMuch(plan) || options.finer ? {} : false) };
  const listings = await Promise.all(folders.map(listFiles));
  const key = createHash('sha256')
    .update(JSON.stringify([...howMade(plan, made), folders, listings, name, visionTower]))
    .digest('hex')
    .slice(0, 16);
  const parent = join(cacheFolder(), 'quantized');
  const copy = join(parent, `${basename(folder)}-${name}-${key}`);
  if (existsSync(join(copy, 'config.json'))) return copy;
  await mkdir(parent, { recursive: true });
  await quantizeModel(source, copy, { ...made, quantization: plan });
  return copy;
}

const formatsOf = ({ format, exceptions }: Quantization): readonly WeightFormat[] => [
  format,
  ...exceptions.map(([, own]) => own),
];

/** Whether layers are in a form that needs calibration to be near the floats. */
function losesMuch(plan: Quantization): boolean {
  return formatsOf(plan).some(format => MIGRATED_FORMATS.has(format));
}

/** Tells copies of one form that were made in different ways apart. */
function howMade(plan: Quantization, { calibration, finer }: Partial<QuantizeOptions>): unknown[] {
  return [
    ...(plan.exceptions.length > 0 ? [plan.exceptions] : []),
    ...(formatsOf(plan).includes('int4') ? ['zero codes, nine steps'] : []),
    ...(calibration !== false ? ['calibrated, compensated', calibration] : []),
    ...(finer ? [finer] : []),
  ];
}

async function listFiles(folder: string): Promise<unknown[]> {
  const files = statSync(folder).isDirectory() ? (await readdir(folder)).map(name => join(folder, name)) : [folder];
  return files.sort().map(file => {
    const { size, mtimeMs } = statSync(file);
    return [basename(file), size, mtimeMs];
  });
}
