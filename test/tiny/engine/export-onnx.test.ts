/** @file Exported ONNX files: plain ONNX Runtime continues as transformers did; what stands in them, and what is refused. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AbortedError } from '../../../src/core/index.ts';
import {
  exportOnnx,
  generateTokens,
  Llava,
  loadModel,
  openModelFolder,
  quantizeModel,
} from '../../../src/engine/index.ts';
import { readModelFiles } from '../../../src/engine/model-folder.ts';
import { openProcessor } from '../../../src/engine/open-processor.ts';
import { readImage, renderMessages, tokenizePrompt } from '../../../src/processor/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { readOnnx } from '../graph/onnx-reader.ts';
import { plainFeatures, plainGreedy } from './plain-onnx.ts';
import { TINY_CONFIG, temporaryFolder, writeTinyModel } from './tiny-model.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/models');
const NO_FEATURES = new Float32Array(0);

async function exported(folder: string, options = {}) {
  const target = temporaryFolder();
  await exportOnnx(openModelFolder(folder), target.path, options);
  return target;
}

describe('plain ONNX Runtime continues as transformers does', () => {
  test.each([
    ['llava-1.5', 'one_image', 0],
    ['llava-1.5', 'two_images', 0],
    ['llava-1.5-full-gqa', 'one_image', 0],
    ['llava-1.5-odd', 'one_image', 256],
    ['llava-v1-linear', 'one_image', 256],
    ['llama-tied', 'text_only', 0],
    ['llava-siglip-qwen2', 'two_images', 0],
    ['llava-clip-layers-mistral', 'one_image', 0],
    ['mistral', 'text_20', 0],
    ['llama3-rope-biases', 'text_20', 0],
    ['dynamic-rope', 'text_40', 0],
    ['dynamic-rope', 'text_10', 256],
  ])('%s, %s, room for %d positions', async (family, name, room) => {
    const folder = join(GOLDEN, family);
    const { entries } = openSafetensors(join(folder, 'golden.safetensors'));
    const tensor = (point: string) => entries.get(`${name}.${point}`) && readTensor(entries.get(`${name}.${point}`)!);
    const { greedy } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')).cases[name];
    using target = await exported(folder);
    const pixels = tensor('pixel_values');
    const features = pixels
      ? await plainFeatures(target.path, { shape: pixels.shape, data: pixels.data as Float32Array })
      : NO_FEATURES;
    const ids = Array.from(tensor('input_ids')!.data, Number);
    expect(await plainGreedy(target.path, ids, features, greedy.length, room)).toEqual(greedy);
  });
});

test('an adapter is exported with the files of its base', async () => {
  const [adapter, base] = [join(GOLDEN, '../torch/lora/llava'), join(GOLDEN, 'end-to-end')];
  using target = temporaryFolder();
  await exportOnnx(openModelFolder(adapter, { modelBase: base }), target.path);
  const names = ['config.json', 'tokenizer.json', 'preprocessor_config.json', 'chat_template.jinja'];
  expect(readdirSync(target.path)).toEqual(expect.arrayContaining(names));
});

test('the demo model answers as `llava ask` does', async () => {
  const [folder, image] = ['../../../models/demo', '../../../examples/images/apple.png'].map(path =>
    join(import.meta.dirname, path),
  ) as [string, string];
  const question = 'What is in this picture?';
  await using llava = await Llava.load(folder, { threads: 1 });
  const { text, usage, finishReason } = await llava.answer(question, { image });
  expect([finishReason, text.length > 3]).toEqual(['stop', true]);

  using target = await exported(folder);
  const processor = openProcessor(readModelFiles(target.path), undefined);
  const { pixels, layout } = await readImage(processor, image);
  const rendered = renderMessages(processor, [{ role: 'user', content: question, images: [image] }]);
  const prompt = tokenizePrompt(processor, rendered, [layout]);
  const features = await plainFeatures(target.path, { shape: pixels.shape, data: pixels.data as Float32Array });
  const tokens = await plainGreedy(target.path, prompt.ids, features, usage.completionTokens, 0);
  expect(processor.tokenizer.decode(tokens, { skipSpecial: true }).trim()).toBe(text);
});

describe('files', () => {
  test('one data file a model, each weight at a page of its own; tokenizer and settings copied', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    using target = await exported(source.path);
    expect(readdirSync(target.path).sort()).toEqual(
      [
        ...['README.md', 'config.json', 'decoder.onnx', 'decoder.onnx.data', 'onnx.json'],
        ...['special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json', 'vision.onnx', 'vision.onnx.data'],
      ].sort(),
    );
    for (const name of ['vision', 'decoder']) {
      const external = readOnnx(readFileSync(join(target.path, `${name}.onnx`)))
        .initializers.map(tensor => tensor.external)
        .filter(({ location }) => location !== undefined);
      expect(new Set(external.map(({ location }) => location))).toEqual(new Set([`${name}.onnx.data`]));
      expect(external.filter(({ offset }) => Number(offset) % 4096 !== 0)).toEqual([]);
      const ends = external.map(({ offset, length }) => Number(offset) + Number(length));
      expect(statSync(join(target.path, `${name}.onnx.data`)).size).toBe(Math.max(...ends));
    }
  });

  test('onnx.json lists inputs and outputs', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    using target = await exported(source.path);
    const manifest = JSON.parse(readFileSync(join(target.path, 'onnx.json'), 'utf8'));
    expect(manifest).toMatchObject({
      imageTokenId: TINY_CONFIG.imageTokenId,
      layers: 2,
      keyValueHeads: 2,
      headSize: 16,
    });
    expect(manifest.files['vision.onnx']).toEqual({
      data: 'vision.onnx.data',
      inputs: [{ name: 'pixels', type: 'float32', shape: ['N', 3, 24, 24] }],
      outputs: [{ name: 'features', type: 'float32', shape: ['N', 9, 64] }],
    });
    const names = manifest.files['decoder.onnx'].inputs.map(({ name }: { name: string }) => name);
    expect(names.sort()).toEqual(
      ['features', 'ids', 'lastPosition', 'rows', 'source', 'totalLength']
        .concat(...[0, 1].map(layer => [`past.${layer}.key`, `past.${layer}.value`]))
        .sort(),
    );
  });

  test('weights of 16 bits stay so, or become what is asked for', async () => {
    const bytes = async (layout: string, options = {}) => {
      using target = await exported(join(GOLDEN, 'layouts', layout), options);
      return statSync(join(target.path, 'decoder.onnx.data')).size;
    };
    const half = await bytes('f16');
    expect(await bytes('bf16')).toBe(half);
    expect(await bytes('hub', { storage: 'f16' })).toBe(half);
    expect(await bytes('f16', { storage: 'f32' })).toBe(await bytes('hub'));
  });

  test('weights of 16 bits give the features that they stand for', async () => {
    const folder = join(GOLDEN, 'layouts/bf16');
    const pixels = { shape: [1, 3, 16, 16], data: new Float32Array(3 * 16 * 16).fill(0.5) };
    using stored = await exported(folder);
    using wide = await exported(folder, { storage: 'f32' });
    expect(await plainFeatures(stored.path, pixels)).toEqual(await plainFeatures(wide.path, pixels));
  });
});

test.each(['w8a8', 'int4'] as const)('weights in %s stay so', async format => {
  using source = temporaryFolder();
  await writeTinyModel(source.path);
  using small = temporaryFolder();
  const quantized = join(small.path, 'model');
  await quantizeModel(source.path, quantized, { quantization: { format, exceptions: [] }, calibration: false });
  using target = await exported(quantized, { storage: 'f32' });
  const ids = [3, 5, 8, 13, 21, 34];
  using model = await loadModel(quantized, { threads: 1 });
  using sequence = model.sequence(64);
  const logits = await sequence.read({ ids, images: [] });
  const tokens: number[] = [];
  for await (const id of generateTokens(sequence, logits, new Set(), [], { maxTokens: 8 })) tokens.push(id);
  expect(await plainGreedy(target.path, ids, NO_FEATURES, 8, 0)).toEqual(tokens);
});

describe('refuses', () => {
  test('a folder that holds something else, and leaves it alone', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    const before = readdirSync(source.path);
    await expect(exportOnnx(openModelFolder(source.path), source.path)).rejects.toThrow(
      `${source.path}: expected a new or empty folder or an earlier export, got one with config.json`,
    );
    expect(readdirSync(source.path)).toEqual(before);
  });

  test('a file in place of a folder', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    const file = join(source.path, 'config.json');
    await expect(exportOnnx(openModelFolder(source.path), file)).rejects.toThrow(`${file}: expected a folder`);
  });

  test('unknown options', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    const attempt = (options: object) => exportOnnx(openModelFolder(source.path), join(source.path, 'new'), options);
    await expect(attempt({ storage: 'q4' })).rejects.toThrow('option storage: expected stored, f32, f16, got "q4"');
    await expect(attempt({ storeage: 'f16' })).rejects.toThrow('did you mean storage?');
  });

  test('to go on when aborted: nothing is left', async () => {
    using source = temporaryFolder();
    await writeTinyModel(source.path);
    const controller = new AbortController();
    const target = join(source.path, 'new');
    const options = { onProgress: () => controller.abort(), signal: controller.signal };
    await expect(exportOnnx(openModelFolder(source.path), target, options)).rejects.toThrow(AbortedError);
    expect(readdirSync(source.path).filter(name => name.includes('new'))).toEqual([]);
  });
});

test('replaces an earlier export and tells how far it is', async () => {
  using source = temporaryFolder();
  await writeTinyModel(source.path);
  using target = await exported(source.path);
  const progress: [number, number][] = [];
  await exportOnnx(openModelFolder(source.path), target.path, { onProgress: (...told) => progress.push(told) });
  const [bytes, total] = progress.at(-1)!;
  expect(bytes).toBe(total);
  expect(progress.every(([done], i) => i === 0 || done > progress[i - 1]![0])).toBe(true);
});
