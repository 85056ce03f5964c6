/** @file Quantised copies in the cache, for models that are asked for in a form that they are not stored in. */

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cacheFolder, LlavaError } from '../../core/index.ts';
import { WEIGHT_FORMATS, type WeightFormat } from '../../models/index.ts';
import { readModelFiles } from '../model-folder.ts';
import { MIGRATED_FORMATS } from './calibrate.ts';
import { suitableFormat } from './cpu-features.ts';
import { type QuantizeOptions, quantizeModel } from './quantize.ts';

/** A form of the weights, or `auto`: as they are stored if that is no float form, else what suits the processor. */
export type QuantChoice = WeightFormat | 'auto';

/** All choices. */
export const QUANT_CHOICES: readonly QuantChoice[] = ['auto', ...WEIGHT_FORMATS];

/**
 * A folder with the model in `source` in the wanted form: the folder itself where it is stored so, else a copy in the cache,
 * made the first time. Tied to the source's files by their names, sizes and times of change.
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
  const format = choice === 'auto' ? (quantization?.format ?? suitableFormat()) : choice;
  if ((quantization?.format ?? 'float') === format) return source;
  if (quantization) throw new LlavaError(`${source}: expected float weights for ${format}, got ${quantization.format}`);
  const listings = await Promise.all(folders.map(listFiles));
  const key = createHash('sha256')
    .update(JSON.stringify([...howMade(format, options), folders, listings, format, visionTower]))
    .digest('hex')
    .slice(0, 16);
  const parent = join(cacheFolder(), 'quantized');
  const copy = join(parent, `${basename(folder)}-${format}-${key}`);
  if (existsSync(join(copy, 'config.json'))) return copy;
  await mkdir(parent, { recursive: true });
  await quantizeModel(source, copy, { ...options, quantization: { format, exceptions: [] } });
  return copy;
}

/** Tells copies of one form that were made in different ways apart. */
function howMade(format: WeightFormat, { calibration, finer }: Partial<QuantizeOptions>): unknown[] {
  const isCalibrated = calibration !== false && MIGRATED_FORMATS.has(format);
  return [
    ...(format === 'int4' ? ['zero codes'] : []),
    ...(isCalibrated ? ['calibrated', calibration] : []),
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
