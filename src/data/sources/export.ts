/** @file Writes samples as a dataset in LLaVA's JSON form, for use outside this package or by `openLlavaJson`. */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError, throwIfAborted } from '../../core/index.ts';
import type { RgbImage } from '../../processor/index.ts';
import type { Sample, SampleSource } from '../sample.ts';

/** What {@link exportLlavaJson} writes, and where. */
export interface ExportOptions {
  /** Folder, made if it is not there: `data.json` and `images/`. */
  readonly folder: string;
  /** Samples to write; not more than the source has. */
  readonly count: number;
  /** Index of the first. Default 0. */
  readonly start?: number;
  readonly signal?: AbortSignal;
}

/**
 * Writes `count` samples: PNG files and a list of `{ id, image?, conversations }`; `image` is a list where there are
 * several. `data.json` appears when everything is written.
 * @returns the path of data.json
 */
export async function exportLlavaJson(source: SampleSource, options: ExportOptions): Promise<string> {
  const { folder, count, start = 0 } = options;
  if (!Number.isInteger(count) || count < 1 || start + count > source.length) {
    throw new LlavaError(`export: expected a count from 1 to ${source.length - start}, got ${count}`);
  }
  const path = join(folder, 'data.json');
  try {
    await mkdir(join(folder, 'images'), { recursive: true });
    await writeFile(`${path}.part`, exportRows(source, options));
    await rename(`${path}.part`, path);
  } catch (error) {
    if (error instanceof LlavaError) throw error;
    throw new LlavaError(`export: expected to write to ${folder}, got ${(error as Error).message}`);
  }
  return path;
}

/** The text of data.json, row by row; each row's images are written before it. */
async function* exportRows(source: SampleSource, { folder, count, start = 0, signal }: ExportOptions) {
  for (let i = 0; i < count; i++) {
    throwIfAborted(signal, 'export');
    const sample = await source.sample(start + i);
    const images = await writeImages(folder, i, sample);
    yield `${i === 0 ? '[' : ','}\n${JSON.stringify(exportRow(sample, images))}`;
  }
  yield '\n]\n';
}

function exportRow({ id, conversations }: Sample, images: readonly string[]): object {
  if (images.length === 0) return { id, conversations };
  return { id, image: images.length === 1 ? images[0] : images, conversations };
}

async function writeImages(folder: string, index: number, { images }: Sample): Promise<string[]> {
  const names = images.map((_, k) => `images/${String(index).padStart(7, '0')}${k === 0 ? '' : `-${k}`}.png`);
  await Promise.all(images.map((image, k) => writePng(join(folder, names[k]!), image)));
  return names;
}

async function writePng(path: string, { width, height, data }: RgbImage): Promise<void> {
  const { default: sharp } = await import('sharp');
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}
