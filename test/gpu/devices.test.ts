/** @file A model on each device that works here, against the processor. Devices that do not work are skipped, with what they lack. */

import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { f32Tensor } from '../../src/core/index.ts';
import {
  encodableImage,
  Llava,
  type LoadOptions,
  linearLayers,
  loadModel,
  openModelFolder,
  quantizeModel,
} from '../../src/engine/index.ts';
import { decode, encode } from '../../src/engine/quantize/encode.ts';
import { fitsFormat, imageLayout, type WeightFormat } from '../../src/models/index.ts';
import { deviceStates } from '../../src/runtime/index.ts';
import { randomIds } from '../tiny/engine/subject.ts';
import {
  relativeError,
  TINY_CONFIG,
  temporaryFolder,
  tinyImage,
  tinyPixels,
  tinyWeights,
  writeTinyModel,
} from '../tiny/engine/tiny-model.ts';

/** Features of a picture, then logits after it and text, read in two parts, and after each of three tokens. */
async function outcome(folder: string, options: LoadOptions): Promise<number[][]> {
  using model = await loadModel(folder, { threads: 2, ...options });
  const layout = imageLayout(TINY_CONFIG, { width: 24, height: 24 });
  const [features] = await model.encodeImages([encodableImage({ pixels: tinyPixels(1), layout })]);
  const made = [Array.from(features!.data)];
  const images = [{ start: 2, features: features! }];
  const ids = randomIds(40, 5);
  using sequence = model.sequence(60);
  for (const length of [20, 40]) made.push(Array.from(await sequence.read({ ids: ids.slice(0, length), images })));
  for (const id of [7, 8, 9]) made.push(Array.from(await sequence.append(id)));
  return made;
}

/** The tiny model with its layers in a form, each by itself. */
async function quantizedTinyModel(folder: string, format: WeightFormat): Promise<string> {
  await writeTinyModel(folder);
  const copy = join(folder, format);
  await quantizeModel(folder, copy, { quantization: { format, exceptions: [] }, calibration: false });
  return copy;
}

/** The tiny model with the floats that a form's codes stand for. */
async function decodedTinyModel(folder: string, format: 'int4' | 'int8'): Promise<string> {
  const weights = tinyWeights();
  for (const { weight, inputs } of linearLayers(openModelFolder(folder))) {
    const matrix = weights.get(weight)!;
    if (!fitsFormat(format, inputs)) continue;
    weights.set(weight, f32Tensor(matrix.shape, decode(encode(matrix, format), format)));
  }
  const copy = join(folder, `${format}-decoded`);
  await writeTinyModel(copy, { weights });
  return copy;
}

describe.each((await deviceStates()).filter(({ device }) => device !== 'cpu'))('$device', ({ device, problem }) => {
  beforeEach(context => context.skip(problem !== undefined, problem));

  test.each<[string, LoadOptions, number]>([
    ['f32', {}, 1e-4],
    ['with a cache of f16', { kvCache: 'f16' }, 5e-3],
  ])('features and logits, %s', async (_name, options, tolerance) => {
    using folder = temporaryFolder();
    await writeTinyModel(folder.path);
    const [want, got] = [await outcome(folder.path, options), await outcome(folder.path, { ...options, device })];
    for (const [i, row] of got.entries()) expect(relativeError(row, want[i]!)).toBeLessThan(tolerance);
  });

  test.each(['f16', 'w8a8', 'w8a16'] as const)('features and logits, weights in %s', async format => {
    using folder = temporaryFolder();
    const copy = await quantizedTinyModel(folder.path, format);
    const [want, got] = [await outcome(copy, {}), await outcome(copy, { device })];
    for (const [i, row] of got.entries()) expect(relativeError(row, want[i]!)).toBeLessThan(1e-3);
  });

  // The processor rounds the inputs of these layers to 8 bits, WebGPU does not: both are compared with floats.
  test.each(['int4', 'int8'] as const)('features and logits, weights in %s', async format => {
    using folder = temporaryFolder();
    const copy = await quantizedTinyModel(folder.path, format);
    const exact = await outcome(await decodedTinyModel(folder.path, format), {});
    const [processor, got] = [await outcome(copy, {}), await outcome(copy, { device })];
    for (const [i, row] of got.entries()) {
      const limit = device === 'webgpu' ? 1e-4 : relativeError(processor[i]!, exact[i]!);
      expect(relativeError(row, exact[i]!)).toBeLessThan(limit);
    }
  });

  test('an answer about a picture', async () => {
    using folder = temporaryFolder();
    await writeTinyModel(folder.path);
    const ask = async (options: LoadOptions) => {
      using model = await Llava.load(folder.path, options);
      return await model.ask('what is in this picture', { image: tinyImage(1), maxTokens: 12 });
    };
    expect(await ask({ device })).toBe(await ask({}));
  });
});
