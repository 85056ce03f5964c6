/** @file A model on each device that works here, against the processor. Devices that do not work are skipped, with what they lack. */

import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { f32Tensor } from '../../src/core/index.ts';
import { type LoadOptions, linearLayers, openModelFolder, quantizeModel } from '../../src/engine/index.ts';
import { decode, encode } from '../../src/engine/quantize/encode.ts';
import { fitsFormat, type WeightFormat } from '../../src/models/index.ts';
import { deviceStates } from '../../src/runtime/index.ts';
import { answer, outcome } from '../tiny/engine/outcome.ts';
import { relativeError, temporaryFolder, tinyWeights, writeTinyModel } from '../tiny/engine/tiny-model.ts';

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
    const onDevice: LoadOptions = { ...options, device, precision: 'f32' };
    const [want, got] = [await outcome(folder.path, options), await outcome(folder.path, onDevice)];
    for (const [i, row] of got.entries()) expect(relativeError(row, want[i]!)).toBeLessThan(tolerance);
  });

  // Without a precision devices compute in f16; transformers in f16 is off by 1.6e-2 for such weights.
  test.each(['float', 'int4'] as const)('features and logits in f16, weights in %s', async format => {
    using folder = temporaryFolder();
    const copy = await quantizedTinyModel(folder.path, format);
    const [want, got] = [await outcome(copy, { device, precision: 'f32' }), await outcome(copy, { device })];
    const errors = got.map((row, i) => relativeError(row, want[i]!));
    expect(Math.max(...errors)).toBeLessThan(2e-2);
    expect(Math.max(...errors)).toBeGreaterThan(1e-5); // it is another graph
  });

  test.each(['f16', 'w8a8', 'w8a16'] as const)('features and logits, weights in %s', async format => {
    using folder = temporaryFolder();
    const copy = await quantizedTinyModel(folder.path, format);
    const [want, got] = [await outcome(copy, {}), await outcome(copy, { device, precision: 'f32' })];
    for (const [i, row] of got.entries()) expect(relativeError(row, want[i]!)).toBeLessThan(1e-3);
  });

  // The processor rounds the inputs of these layers to 8 bits, WebGPU does not: both are compared with floats.
  test.each(['int4', 'int8'] as const)('features and logits, weights in %s', async format => {
    using folder = temporaryFolder();
    const copy = await quantizedTinyModel(folder.path, format);
    const exact = await outcome(await decodedTinyModel(folder.path, format), {});
    const [processor, got] = [await outcome(copy, {}), await outcome(copy, { device, precision: 'f32' })];
    for (const [i, row] of got.entries()) {
      const limit = device === 'webgpu' ? 1e-4 : relativeError(processor[i]!, exact[i]!);
      expect(relativeError(row, exact[i]!)).toBeLessThan(limit);
    }
  });

  test('an answer about a picture', async () => {
    using folder = temporaryFolder();
    await writeTinyModel(folder.path);
    expect(await answer(folder.path, { device, precision: 'f32' })).toBe(await answer(folder.path, {}));
  });
});
