/** @file How the pictures of a model are made square and normalised, as its files say: settings and mode. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../core/index.ts';
import type { JsonObject, LlavaConfig } from '../models/index.ts';
import { type ImageMode, type ImageSettings, parseImageSettings, towerImageSettings } from '../processor/index.ts';
import { readJson } from '../weights/index.ts';

/** How the pictures of a model are made square and normalised. */
export interface ImageRule {
  readonly settings: ImageSettings;
  readonly mode: ImageMode;
}

/**
 * The first of the files that says something about images, else what the tower's kind was trained with.
 * @param folders the model's, and that of its vision tower
 */
export function imageRule(folders: readonly string[], config: LlavaConfig): ImageRule {
  const { file, json } = folders.map(settingsJson).find(found => found !== undefined) ?? {
    file: join(folders[0]!, 'preprocessor_config.json'),
    json: towerImageSettings(config.vision),
  };
  return parseImageRule(json, file, config);
}

/**
 * Parses the content of a `preprocessor_config.json`.
 * @param file names it in errors
 * @throws LlavaError unless pictures get the size that the vision tower reads
 */
export function parseImageRule(json: unknown, file: string, config: LlavaConfig): ImageRule {
  const settings = parseImageSettings(json, file);
  const side = config.vision.imageSize;
  const tile = settings.centerCrop ?? (settings.resize?.kind === 'exact' ? settings.resize : undefined);
  if (tile?.width !== side || tile.height !== side) {
    const got = tile ? `${tile.width} × ${tile.height}` : 'no fixed size';
    throw new LlavaError(`${file}: expected images of ${side} × ${side} as in config.json, got ${got}`);
  }
  return { settings, mode: squareMode(config, settings) };
}

/**
 * The original code goes by config.json; where that is Hugging Face's, by what the original of such a model did: v1.5 pads.
 * `transformers` goes by the image settings, and by config.json only where this library wrote it there.
 */
function squareMode(
  { compat, format, squareMode: stated, projectorType }: LlavaConfig,
  settings: ImageSettings,
): ImageMode {
  const ofSettings = settings.padToSquare ? 'pad' : 'square';
  if (compat === 'original') return stated ?? (projectorType === 'linear' ? 'square' : 'pad');
  return format === 'hf' ? (stated ?? ofSettings) : ofSettings;
}

function settingsJson(folder: string): { file: string; json: unknown } | undefined {
  const file = join(folder, 'preprocessor_config.json');
  if (existsSync(file)) return { file, json: readJson(file) };
  // transformers 5 puts all processors into one file.
  const joint = join(folder, 'processor_config.json');
  const nested = existsSync(joint) ? (readJson(joint) as JsonObject).image_processor : undefined;
  return nested ? { file: joint, json: nested } : undefined;
}
