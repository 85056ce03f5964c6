/** @file What a model reads while it is calibrated, where the user gives nothing else: pages of prose, and drawn pictures. */

import { f32Tensor, LlavaError, Rng, sizeOf } from '../../core/index.ts';
import { type ImageSource, type Processor, type RgbImage, readImage } from '../../processor/index.ts';
import type { ModelFolder } from '../model-folder.ts';
import { openProcessor } from '../open-processor.ts';
import { CALIBRATION_TEXT } from './calibration-text.ts';
import type { CalibrationSample } from './layer-inputs.ts';

/** What a calibration reads. */
export interface SampleOptions {
  /** Default: a few pages, most of them English. */
  readonly text?: string;
  /** Pictures for a LLaVA. Default: two that are drawn. */
  readonly images?: readonly ImageSource[];
}

/** Positions of a sample, and samples, at most. */
const POSITIONS = 512;
const SAMPLES = 8;

/** The samples that a model can read: text, and for a LLaVA a picture before each. */
export async function calibrationSamples(
  folder: ModelFolder,
  { text = CALIBRATION_TEXT, images }: SampleOptions = {},
): Promise<CalibrationSample[]> {
  const processor = openProcessor(folder);
  const tiles = processor.vision ? await firstTiles(processor, images ?? [drawnPicture(1), drawnPicture(2)]) : [];
  const room = Math.min(POSITIONS, folder.language.contextLength) - (tiles[0]?.rows ?? 0);
  const ids = processor.tokenizer.encode(text);
  const windows = Math.min(Math.ceil(ids.length / room), SAMPLES);
  const size = Math.floor(Math.min(ids.length, windows * room) / windows);
  if (!(room > 0 && size > 0)) {
    throw new LlavaError(
      `calibration: expected a text and room for it, got ${ids.length} tokens for ${room} positions`,
    );
  }
  return Array.from({ length: Math.max(windows, Math.min(tiles.length, SAMPLES)) }, (_, i) => {
    const words = ids.slice((i % windows) * size, ((i % windows) + 1) * size);
    const image = tiles[i % tiles.length];
    return image ? { ids: [...Array<number>(image.rows).fill(-1), ...words], tile: image.tile } : { ids: words };
  });
}

async function firstTiles(processor: Processor, images: readonly ImageSource[]) {
  return await Promise.all(
    images.map(async image => {
      const { pixels, layout } = await readImage(processor, image);
      const shape = [1, ...pixels.shape.slice(1)];
      return {
        tile: f32Tensor(shape, (pixels.data as Float32Array).slice(0, sizeOf(shape))),
        rows: layout.featuresPerTile,
      };
    }),
  );
}

const SIDE = 336;

/** Discs of all sizes and colours on a slope of colour, with a little noise. */
export function drawnPicture(seed: number): RgbImage {
  const rng = new Rng(seed);
  const colour = (): number[] => [rng.int(256), rng.int(256), rng.int(256)];
  const discs = Array.from({ length: 24 }, () => ({
    ...{ x: rng.int(SIDE), y: rng.int(SIDE), radius: 4 + rng.int(SIDE / 4) },
    colour: colour(),
  }));
  const [from, to] = [colour(), colour()];
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const disc = discs.findLast(each => (x - each.x) ** 2 + (y - each.y) ** 2 < each.radius ** 2);
    for (let channel = 0; channel < 3; channel++) {
      const slope = from[channel]! + ((to[channel]! - from[channel]!) * y) / SIDE;
      data[3 * i + channel] = Math.max(0, Math.min(255, (disc?.colour[channel] ?? slope) + 6 * rng.normal()));
    }
  }
  return { width: SIDE, height: SIDE, data };
}
