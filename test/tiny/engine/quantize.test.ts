/** @file Quantised models: near the float model, stored as asked, loaded without being told. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { f32Tensor, type HostTensor } from '../../../src/core/index.ts';
import {
  encodableImage,
  type LlavaModel,
  linearLayers,
  loadModel,
  openModelFolder,
  quantizedFolder,
  quantizeModel,
  suitableFormat,
} from '../../../src/engine/index.ts';
import {
  formatPlan,
  imageLayout,
  namedPlan,
  type PlanName,
  parseLlavaConfig,
  type Quantization,
  type WeightFormat,
} from '../../../src/models/index.ts';
import { quantizeRowsOf, readTensor } from '../../../src/weights/index.ts';
import {
  relativeError,
  TINY_CONFIG,
  TINY_JSON,
  temporaryFolder,
  tinyPixels,
  tinyWeights,
  writeTinyModel,
} from './tiny-model.ts';

const root = temporaryFolder();
const source = join(root.path, 'source');
const all = (format: WeightFormat): Quantization => ({ format, exceptions: [] });
/** Calibrating with the page that is built in takes half a second each time. */
const SHORT = {
  text: 'what is in this picture a cat dog red blue one two three yes no the of and on mat sat ball '.repeat(12),
};
/** A copy of the tiny model, made once. */
const copies = new Map<string, Promise<string>>();
const copyAs = (plan: PlanName): Promise<string> => {
  const made = copies.get(plan) ?? makeCopy(plan);
  copies.set(plan, made);
  return made;
};

async function makeCopy(plan: PlanName): Promise<string> {
  const target = join(root.path, plan);
  await quantizeModel(source, target, { quantization: namedPlan(plan) });
  return target;
}

/** Logits after a prompt with an image. */
async function logitsOf(model: LlavaModel): Promise<Float32Array> {
  const layout = imageLayout(TINY_CONFIG, { width: 24, height: 24 });
  const [features] = await model.encodeImages([encodableImage({ pixels: tinyPixels(1), layout })]);
  using sequence = model.sequence(32);
  const ids = Array.from({ length: 20 }, (_, i) => 5 + i);
  return (await sequence.read({ ids, images: [{ start: 2, features: features! }] })).slice();
}

async function logitsIn(folder: string): Promise<Float32Array> {
  using model = await loadModel(folder, { threads: 1 });
  return await logitsOf(model);
}

let float: Float32Array;

beforeAll(async () => {
  await writeTinyModel(source);
  float = await logitsIn(source);
});

afterAll(() => {
  vi.unstubAllEnvs();
  root[Symbol.dispose]();
});

/** Errors of the logits that each form may have. Random weights make them larger than trained ones do. */
const LIMITS: Readonly<Record<Exclude<WeightFormat, 'float' | 'f16'>, number>> = {
  w8a8: 0.2,
  w8a16: 0.12,
  w16a16: 2e-3,
  int8: 0.2,
  int4: 1.2,
};

describe.each(Object.entries(LIMITS) as [keyof typeof LIMITS, number][])('%s', (format, limit) => {
  test('answers nearly as the float model, but not as if nothing were rounded', async () => {
    const error = relativeError(await logitsIn(await copyAs(format)), float);
    expect(error).toBeLessThan(limit);
    expect(error).toBeGreaterThan(limit * 1e-3);
  });

  test('is stored in fewer bytes, embeddings and norms as they were', async () => {
    const { weights } = openModelFolder(await copyAs(format));
    expect(weights.get('language_model.model.embed_tokens.weight')!.dtype).toBe('f32');
    expect(weights.has('language_model.model.layers.0.mlp.up_proj.weight')).toBe(false);
    const codes = weights.get(
      `language_model.model.layers.0.mlp.up_proj.weight.${format === 'int4' ? 'int4' : 'int8'}`,
    )!;
    expect(codes.dtype).toBe(format.startsWith('w') ? 'i8' : 'u8');
  });
});

test('two bytes of an activation lose next to nothing: what is left is the rounding of the weights', async () => {
  const folder = join(root.path, 'dequantised');
  const weights = tinyWeights();
  const layers = new Set(linearLayers(openModelFolder(source)).map(layer => layer.weight));
  for (const [name, tensor] of weights) if (layers.has(name)) weights.set(name, rounded(tensor));
  await writeTinyModel(folder, { weights });
  const exact = await logitsIn(folder);
  const error = async (format: WeightFormat) => {
    const target = join(root.path, `${format}-plain`);
    await quantizeModel(source, target, { quantization: all(format), calibration: false });
    return relativeError(await logitsIn(target), exact);
  };
  const ofW8a16 = await error('w8a16');
  expect(ofW8a16).toBeLessThan(2e-3);
  expect(await error('w8a8')).toBeGreaterThan(5 * ofW8a16);
});

/** The matrix that the codes stand for. */
function rounded(matrix: HostTensor): HostTensor {
  const [outputs, inputs] = matrix.shape as [number, number];
  const { codes, scale } = quantizeRowsOf(matrix);
  const value = (row: number, k: number) => Number(codes.data[k * outputs + row]) * Number(scale.data[row]);
  return f32Tensor(
    matrix.shape,
    Array.from({ length: outputs * inputs }, (_, i) => value(Math.floor(i / inputs), i % inputs)),
  );
}

test('f16: the linear layers in two bytes, all else as it was', async () => {
  const { weights } = openModelFolder(await copyAs('f16'));
  expect(weights.get('language_model.model.layers.0.mlp.up_proj.weight')!.dtype).toBe('f16');
  expect(weights.get('language_model.model.norm.weight')!.dtype).toBe('f32');
  expect(relativeError(await logitsIn(await copyAs('f16')), float)).toBeLessThan(5e-3);
});

describe('calibration', () => {
  /** Every 16th input of the layers after a norm, of the output projection and of down_proj is 40 times as large as others. */
  function withOutliers(): Map<string, HostTensor> {
    const weights = tinyWeights();
    const scale = (name: string, factor: (i: number, row: number) => number) => {
      const { shape, data } = weights.get(name)!;
      const width = shape.at(-1)!;
      const value = (_: unknown, i: number) => Number(data[i]) * factor(i % width, Math.floor(i / width));
      weights.set(name, f32Tensor(shape, Array.from({ length: data.length }, value)));
    };
    const outlier = (i: number): number => (i % 16 === 3 ? 40 : 1);
    for (const layer of [0, 1]) {
      const at = (name: string): string => `language_model.model.layers.${layer}.${name}.weight`;
      for (const norm of ['input_layernorm', 'post_attention_layernorm']) scale(at(norm), outlier);
      for (const name of ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.gate_proj'])
        scale(at(name), k => 1 / outlier(k));
      for (const name of ['self_attn.v_proj', 'mlp.up_proj']) scale(at(name), (k, row) => outlier(row) / outlier(k));
      for (const name of ['self_attn.o_proj', 'mlp.down_proj']) scale(at(name), k => 1 / outlier(k));
    }
    return weights;
  }

  test('the scale of outliers is moved into what makes them: the model stays the same, rounding loses far less', async () => {
    const folder = join(root.path, 'outliers');
    await writeTinyModel(folder, { weights: withOutliers() });
    const exact = await logitsIn(folder);
    expect(relativeError(exact, float)).toBeLessThan(1e-4);
    const errorOf = async (name: string, calibration?: false) => {
      const target = join(root.path, name);
      await quantizeModel(folder, target, {
        quantization: all('w8a8'),
        ...(calibration === false && { calibration }),
      });
      return relativeError(await logitsIn(target), exact);
    };
    const plain = await errorOf('outliers-plain', false);
    expect(await errorOf('outliers-calibrated')).toBeLessThan(0.5 * plain);
  });

  test('tells the error of every layer of the language model and the tower', async () => {
    const { errors } = await quantizeModel(source, join(root.path, 'measured'), {
      quantization: all('w8a16'),
      calibration: { text: 'what is in this picture' },
    });
    expect([...errors.keys()].sort()).toEqual(
      linearLayers(openModelFolder(source))
        .map(({ path }) => path)
        .sort(),
    );
    expect(Math.max(...errors.values())).toBeLessThan(0.02);
    expect(Math.min(...errors.values())).toBeGreaterThan(1e-4);
  });

  test('the layers that lose most are kept finer, within a part of the weights', async () => {
    const target = join(root.path, 'finer');
    const { errors, formats } = await quantizeModel(source, target, {
      quantization: all('int4'),
      finer: 0.2,
      calibration: SHORT,
    });
    const kept = Array.from(formats).flatMap(([path, format]) => (format === 'w8a16' ? [path] : []));
    const [worst] = [...errors].sort((one, other) => other[1] - one[1])[0]!;
    expect(kept).toContain(worst);
    const sizes = new Map(
      linearLayers(openModelFolder(source)).map(layer => [layer.path, layer.outputs * layer.inputs]),
    );
    const weights = (paths: readonly string[]): number => paths.reduce((sum, path) => sum + sizes.get(path)!, 0);
    expect(weights(kept)).toBeLessThanOrEqual(0.2 * weights([...errors.keys()]));
    expect(openModelFolder(target).quantization!.exceptions).toEqual(expect.arrayContaining([[worst, 'w8a16']]));
    const finest = { quantization: all('int4'), finer: 1, calibration: SHORT };
    const whole = await quantizeModel(source, join(root.path, 'finest'), finest);
    expect([...whole.errors.keys()].every(path => whole.formats.get(path) === 'w8a16')).toBe(true);
    expect(relativeError(await logitsIn(join(root.path, 'finest')), float)).toBeLessThan(LIMITS.w8a16);
  });
});

test('layers that do not fit blocks stay float, and config.json says which', async () => {
  const json = JSON.parse(readFileSync(join(await copyAs('int4'), 'config.json'), 'utf8'));
  // 48 inputs are no whole number of blocks of 32.
  const unfit = Object.entries(json.llava_ts_quantization.exceptions);
  expect(unfit).toEqual([['vision_tower.vision_model.encoder.layers.0.mlp.fc2', 'float']]);
});

test('a plan gives layers their own form', async () => {
  const target = join(root.path, 'plan');
  const exceptions = [
    ['vision_tower.*', 'float'],
    ['*.down_proj', 'w8a16'],
  ] as const;
  await quantizeModel(source, target, { quantization: { format: 'w8a8', exceptions }, calibration: false });
  const { weights, quantization } = openModelFolder(target);
  expect(weights.has('vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight')).toBe(true);
  expect(quantization).toEqual({ format: 'w8a8', exceptions });
  expect(relativeError(await logitsIn(target), float)).toBeLessThan(0.1);
});

test('a tied head gets codes of its own', async () => {
  const folder = join(root.path, 'tied');
  const json = { text_config: { ...TINY_JSON.text_config, tie_word_embeddings: true } };
  const config = parseLlavaConfig({ ...TINY_JSON, ...json }, 'tied');
  const weights: Map<string, HostTensor> = tinyWeights(config);
  await writeTinyModel(folder, { json, weights });
  const target = join(root.path, 'tied-w8a16');
  await quantizeModel(folder, target, { quantization: all('w8a16'), calibration: false });
  expect(openModelFolder(target).weights.has('language_model.lm_head.weight.int8')).toBe(true);
  expect(relativeError(await logitsIn(target), await logitsIn(folder))).toBeLessThan(LIMITS.w8a16);
});

test('every linear layer of the graphs is found, with its sizes', () => {
  const layers = linearLayers(openModelFolder(source));
  expect(layers).toHaveLength(2 * 7 + 1 + 1 * 6 + 2); // decoder blocks, head, the one vision block that is used, projector
  expect(layers.find(({ path }) => path.endsWith('layers.1.mlp.down_proj'))).toMatchObject({ outputs: 64, inputs: 96 });
});

test('the mixed plans keep the layers that lose most in two bytes', async () => {
  const dtypes = async (plan: 'mixed8' | 'mixed4') => {
    const folder = await copyAs(plan);
    return { formats: linearFormats(folder), error: relativeError(await logitsIn(folder), float) };
  };
  const [mixed8, mixed4] = [await dtypes('mixed8'), await dtypes('mixed4')];
  const language = 'language_model.model.layers.0';
  expect(mixed8.formats).toMatchObject({ [`${language}.mlp.down_proj`]: 'w8a16', [`${language}.mlp.up_proj`]: 'w8a8' });
  expect(mixed4.formats).toMatchObject({ [`${language}.mlp.down_proj`]: 'w8a16', [`${language}.mlp.up_proj`]: 'int4' });
  const towers = Object.entries(mixed4.formats).filter(([path]) => path.startsWith('vision_tower'));
  expect(new Set(towers.map(([, format]) => format))).toEqual(new Set(['w8a16']));
  expect(mixed8.error).toBeLessThan(0.1); // random weights have no outliers: the gain shows in a real model
  expect(mixed4.error).toBeLessThan(LIMITS.int4 / 2);
});

/** Form of each layer, as the plan in the copy's configuration says. */
function linearFormats(folder: string): Record<string, WeightFormat> {
  const opened = openModelFolder(folder);
  const plan = formatPlan(opened.quantization!);
  return Object.fromEntries(linearLayers(opened).map(({ path }) => [path, plan(path)]));
}

describe('option quant', () => {
  test('makes a copy in the cache, once', async () => {
    const cache = join(root.path, 'cache');
    vi.stubEnv('XDG_CACHE_HOME', cache);
    using first = await loadModel(source, { threads: 1, quant: 'w8a8' });
    const made = readdirSync(join(cache, 'llava-ts', 'quantized'));
    expect(made).toHaveLength(1);
    using second = await loadModel(source, { threads: 1, quant: 'w8a8' });
    expect(readdirSync(join(cache, 'llava-ts', 'quantized'))).toEqual(made);
    expect(await logitsOf(second)).toEqual(await logitsOf(first));
    expect(await logitsOf(first)).toEqual(await logitsIn(await copyAs('w8a8')));
  });

  test('auto: what suits the processor, and what is quantised stays as it is', async () => {
    expect(await suitableFormat(Promise.resolve(true))).toBe('w8a16');
    expect(await suitableFormat(Promise.resolve(false))).toBe('int8');
    expect(await quantizedFolder(await copyAs('int4'), 'auto')).toBe(await copyAs('int4'));
    vi.stubEnv('XDG_CACHE_HOME', join(root.path, 'auto'));
    const { quantization } = openModelFolder(await quantizedFolder(source, 'auto'));
    expect(quantization!.format).toBe(await suitableFormat());
  });

  test('w8a16 is calibrated when a copy is made, but not while somebody waits for an answer', async () => {
    vi.stubEnv('XDG_CACHE_HOME', join(root.path, 'waits'));
    const codesIn = (folder: string) =>
      readTensor(openModelFolder(folder).weights.get('language_model.model.layers.0.mlp.up_proj.weight.int8')!);
    const plain = quantizeRowsOf(tinyWeights().get('language_model.model.layers.0.mlp.up_proj.weight')!);
    expect(codesIn(await quantizedFolder(source, 'w8a16'))).toEqual(plain.codes);
    expect(codesIn(await copyAs('w8a16'))).not.toEqual(plain.codes);
    const calibrated = await quantizedFolder(source, 'w8a16', { calibration: {} });
    expect(codesIn(calibrated)).toEqual(codesIn(await copyAs('w8a16')));
  });

  test('takes a model that is stored so as it is', async () => {
    const folder = await copyAs('w8a8');
    using model = await loadModel(folder, { threads: 1, quant: 'w8a8' });
    expect(model.name).toBe('source');
  });

  test.each<PlanName>(['w8a8', 'int4', 'mixed8', 'mixed4'])('%s is what it is asked for', async plan => {
    const folder = await copyAs(plan);
    expect(await quantizedFolder(folder, plan)).toBe(folder);
    expect(await quantizedFolder(folder, 'auto')).toBe(folder);
  });

  test.each<[PlanName, PlanName]>([
    ['w8a8', 'int4'],
    ['w8a8', 'mixed8'],
    ['mixed8', 'w8a8'],
    ['mixed4', 'w8a16'],
    ['int4', 'float'],
  ])('%s is refused where %s is asked for', async (stored, wanted) => {
    const folder = await copyAs(stored);
    await expect(loadModel(folder, { quant: wanted })).rejects.toThrow(
      `${folder}: expected float weights, which ${wanted} is made from, got ${stored} already`,
    );
  });

  test('a plan with exceptions of its own goes by the name of its form', async () => {
    const folder = join(root.path, 'own');
    const exceptions = [['*.fc1', 'float']] as const;
    await quantizeModel(source, folder, { quantization: { ...namedPlan('w8a8'), exceptions }, calibration: false });
    expect(await quantizedFolder(folder, 'w8a8')).toBe(folder);
    await quantizeModel(source, `${folder}-mixed`, {
      quantization: { format: 'w8a8', exceptions: [...namedPlan('mixed8').exceptions, ...exceptions] },
      calibration: false,
    });
    expect(await quantizedFolder(`${folder}-mixed`, 'mixed8')).toBe(`${folder}-mixed`);
  });
});

describe('refuses', () => {
  const target = join(root.path, 'never');

  test('a source that is quantised', async () => {
    const folder = await copyAs('w8a8');
    const quantize = quantizeModel(folder, target, { quantization: all('int4') });
    await expect(quantize).rejects.toThrow(`${folder}: expected float weights, got w8a8 already`);
  });

  test('a target that exists', async () => {
    const quantize = quantizeModel(source, source, { quantization: all('int4') });
    await expect(quantize).rejects.toThrow('expected a new folder, got one that exists');
  });

  test('exceptions that name no layer', async () => {
    const exceptions = [['language_model.model.layers.0.mlp.gate', 'float']] as const;
    const quantize = quantizeModel(source, target, { quantization: { format: 'w8a8', exceptions } });
    await expect(quantize).rejects.toThrow('nearest: language_model.model.layers.0.mlp.gate_proj');
  });

  test('to go on after a signal, and leaves nothing', async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const quantize = quantizeModel(source, target, {
      quantization: all('w8a8'),
      onProgress,
      signal: controller.signal,
    });
    await expect(quantize).rejects.toThrow('quantize');
    expect(existsSync(target)).toBe(false);
  });
});
