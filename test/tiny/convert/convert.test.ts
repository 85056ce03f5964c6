/** @file `convertModel`: what comes out of each layout, bit by bit; vocabulary; types; interruption; refusals. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AbortedError, castFloat, LlavaError, type TypedArray, tensorBytes } from '../../../src/core/index.ts';
import { type ConvertOptions, convertModel, Llava, quantizeModel } from '../../../src/engine/index.ts';
import { loadTokenizer } from '../../../src/processor/index.ts';
import { openWeights, readTensor } from '../../../src/weights/index.ts';
import { temporaryFolder, tinyImage, writeTinyModel } from '../engine/tiny-model.ts';
import { contents, END_TO_END, editJson, files, PLAIN_ROWS, writePlainVocabulary } from './helpers.ts';

const json = (folder: string, name = 'config.json') => JSON.parse(readFileSync(join(folder, name), 'utf8'));

const bytesOf = (data: TypedArray) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

describe('layouts', () => {
  test.each([
    [
      'hf',
      'language_model.model.norm.weight',
      'vision_tower.vision_model.pre_layrnorm.bias',
      'multi_modal_projector.linear_2.bias',
    ],
    [
      'hf-new',
      'model.language_model.norm.weight',
      'model.vision_tower.vision_model.pre_layrnorm.bias',
      'model.multi_modal_projector.linear_2.bias',
    ],
    [
      'original',
      'model.norm.weight',
      'model.vision_tower.vision_tower.vision_model.pre_layrnorm.bias',
      'model.mm_projector.2.bias',
    ],
  ] as const)('%s: names of its own, the same answer', async (to, ...names) => {
    using folder = temporaryFolder();
    const [source, target] = [join(folder.path, 'source'), join(folder.path, 'target')];
    mkdirSync(source);
    await writeTinyModel(source);
    await convertModel(source, target, { to });
    expect([...contents(target).keys()]).toEqual(expect.arrayContaining(names));
    const ask = async (path: string) => {
      await using model = await Llava.load(path, { threads: 1 });
      return await model.ask('what is this', { image: tinyImage(3), maxTokens: 12 });
    };
    expect(await ask(target)).toBe(await ask(source));
  });

  test('hf → original → hf → original: the same bytes, shards and all', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    const maxShardBytes = 50_000;
    await convertModel(END_TO_END, at('hf'), { to: 'hf', maxShardBytes });
    await convertModel(at('hf'), at('original'), { to: 'original', maxShardBytes });
    await convertModel(at('original'), at('back'), { to: 'hf', maxShardBytes });
    await convertModel(at('back'), at('again'), { to: 'original', maxShardBytes });
    expect(readdirSync(at('hf')).filter(name => name.endsWith('.safetensors')).length).toBeGreaterThan(2);
    expect(contents(at('back'))).toEqual(contents(at('hf')));
    expect(files(at('again'))).toEqual(files(at('original')));
    expect(json(at('back'))).toMatchObject(json(at('hf')));
  });
});

describe('vocabulary', () => {
  test('into hf: two tokens more, 64s of rows, the new ones the mean; back: exactly what it was', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await writePlainVocabulary(at('plain'));
    await convertModel(at('plain'), at('original'), { to: 'original' });
    await convertModel(at('original'), at('hf'), { to: 'hf' });
    await convertModel(at('hf'), at('back'), { to: 'original' });
    expect(contents(at('back'))).toEqual(contents(at('original')));
    expect(files(at('back')).get('tokenizer.json')).toEqual(files(at('original')).get('tokenizer.json'));
    const tokenizer = loadTokenizer(at('hf'));
    const [image, pad] = ['<image>', '<pad>'].map(token => tokenizer.tokenToId(token));
    expect([image, pad, tokenizer.padId, tokenizer.vocabSize]).toEqual([340, 341, 341, 342]);
    expect(json(at('hf'))).toMatchObject({
      image_token_index: 340,
      pad_token_id: 341,
      text_config: { vocab_size: 384 },
    });
    for (const name of ['language_model.model.embed_tokens.weight', 'language_model.lm_head.weight']) {
      const { shape, data: all } = openWeights(at('hf')).read(name);
      const data = all as Float32Array;
      const old = openWeights(at('plain')).read(name).data as Float32Array;
      const width = shape[1]!;
      expect(shape[0]).toBe(384);
      expect(Buffer.compare(bytesOf(data.subarray(0, old.length)), bytesOf(old))).toBe(0);
      const mean = Array.from({ length: width }, (_, i) => {
        const column = Array.from({ length: PLAIN_ROWS }, (_, row) => old[row * width + i]!);
        return Math.fround(column.reduce((a, b) => a + b) / PLAIN_ROWS);
      });
      for (const row of [340, 383]) expect(Array.from(data.slice(row * width, (row + 1) * width))).toEqual(mean);
    }
  });

  test('a tokenizer that is only a SentencePiece model lists its new tokens beside it', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await writePlainVocabulary(at('plain'));
    rmSync(join(at('plain'), 'tokenizer.json'));
    await convertModel(at('plain'), at('hf'), { to: 'hf' });
    expect(json(at('hf'), 'added_tokens.json')).toEqual({ '<image>': 340, '<pad>': 341 });
    expect(loadTokenizer(at('hf')).encode('<image>', { addBos: false })).toEqual([340]);
  });

  test('one in which <image> is not the last token stays as it is', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    mkdirSync(at('tiny'));
    await writeTinyModel(at('tiny'));
    await convertModel(at('tiny'), at('original'), { to: 'original' });
    expect(json(at('original')).vocab_size).toBe(320);
    expect(loadTokenizer(at('original')).tokenToId('<image>')).toBe(loadTokenizer(at('tiny')).tokenToId('<image>'));
  });

  test('more tokens than rows', async () => {
    using folder = temporaryFolder();
    const source = join(folder.path, 'source');
    await writePlainVocabulary(source);
    cpSync(join(END_TO_END, 'tokenizer.json'), join(source, 'tokenizer.json'));
    await expect(convertModel(source, join(folder.path, 'out'), { to: 'hf' })).rejects.toThrow(
      `${source}: expected a tokenizer of at most 340 tokens, the rows of the embedding, got 342`,
    );
  });
});

describe('types', () => {
  const layouts = join(import.meta.dirname, '../../golden/models/layouts');

  test.each(['f16', 'bf16'] as const)('%s rounds as PyTorch does', dtype => {
    const rounded = openWeights(join(layouts, dtype)).entries;
    expect(rounded.size).toBeGreaterThan(30);
    for (const entry of openWeights(join(layouts, 'hf-5')).entries.values()) {
      const bytes = tensorBytes(castFloat(readTensor(entry), dtype));
      expect(Buffer.from(bytes)).toEqual(Buffer.from(tensorBytes(readTensor(rounded.get(entry.name)!))));
    }
  });

  test('every half of one kind becomes the right half of the other, in small tensors and large', () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
    for (const [from, to] of [
      ['f16', 'bf16'],
      ['bf16', 'f16'],
    ] as const) {
      const tensor = { dtype: from, shape: [2 ** 16], data: all };
      const direct = castFloat(tensor, to).data;
      expect(Buffer.compare(bytesOf(direct), bytesOf(castFloat(castFloat(tensor, 'f32'), to).data))).toBe(0);
      const few = { dtype: from, shape: [300], data: all.slice(0x3f00, 0x3f00 + 300) };
      expect(castFloat(few, to).data).toEqual(direct.slice(0x3f00, 0x3f00 + 300));
    }
  });

  test('the configuration states the type; the model still answers', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await convertModel(END_TO_END, at('half'), { to: 'hf', dtype: 'bf16' });
    expect(new Set([...openWeights(at('half')).entries.values()].map(entry => entry.dtype))).toEqual(new Set(['bf16']));
    expect(json(at('half')).torch_dtype).toBe('bfloat16');
    await using model = await Llava.load(at('half'), { threads: 1 });
    expect(await model.ask('what', { image: join(END_TO_END, 'image.png'), maxTokens: 3 })).not.toBe('');
  });
});

describe('interrupted', () => {
  const options = { to: 'original', maxShardBytes: 40_000 } as const;

  async function interrupt(target: string, afterBytes: number): Promise<void> {
    const controller = new AbortController();
    const onProgress: ConvertOptions['onProgress'] = ({ bytes }) => bytes >= afterBytes && controller.abort();
    const stopped = convertModel(END_TO_END, target, { ...options, onProgress, signal: controller.signal });
    await expect(stopped).rejects.toThrow(AbortedError);
  }

  test('goes on with the first file that is not whole, and ends as if nothing had been', async () => {
    using folder = temporaryFolder();
    const [target, straight] = [join(folder.path, 'target'), join(folder.path, 'straight')];
    await convertModel(END_TO_END, straight, options);
    await interrupt(target, 100_000);
    const first = readdirSync(target).filter(name => name.endsWith('.safetensors'));
    expect(first.length).toBeGreaterThan(1);
    expect(readdirSync(target).filter(name => /json$/.test(name))).toEqual(['.llava-convert.json']);
    const times = first.map(name => statSync(join(target, name)).mtimeMs);
    truncateSync(join(target, first[1]!), 1000); // as a disk that lost its power might leave it
    let kept = 0;
    await convertModel(END_TO_END, target, { ...options, onProgress: progress => (kept = progress.keptBytes) });
    expect(kept).toBeGreaterThan(0);
    expect(statSync(join(target, first[0]!)).mtimeMs).toBe(times[0]);
    expect(files(target)).toEqual(files(straight));
  });

  test('refuses to go on with another conversion, or from a source that has changed', async () => {
    using folder = temporaryFolder();
    const target = join(folder.path, 'target');
    await interrupt(target, 100_000);
    const other = convertModel(END_TO_END, target, { ...options, dtype: 'f16' });
    await expect(other).rejects.toThrow(/expected the beginnings of this conversion, got those of another/);
  });
});

describe('refuses', () => {
  const sharded = temporaryFolder();
  beforeAll(() => convertModel(END_TO_END, sharded.path, { to: 'hf', maxShardBytes: 40_000 }));
  afterAll(() => sharded[Symbol.dispose]());

  const namesIn = (path: string) => (existsSync(path) && statSync(path).isDirectory() ? readdirSync(path) : []);

  async function complaint(
    change: (source: string, target: string) => void,
    options: Partial<ConvertOptions> & { target?: string } = {},
  ): Promise<string> {
    using folder = temporaryFolder();
    const source = join(folder.path, 'source');
    const { target = 'target', ...rest } = options;
    const to = join(folder.path, target);
    cpSync(sharded.path, source, { recursive: true });
    change(source, to);
    const before = namesIn(to);
    const error = await convertModel(source, to, { to: 'original', ...rest }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LlavaError);
    const { message } = error as Error;
    expect(message).not.toContain('\n');
    expect(namesIn(to)).toEqual(before);
    return message.replaceAll(folder.path, 'AT');
  }

  const nothing = () => {};
  const INDEX = 'model.safetensors.index.json';
  const shards = (source: string) => readdirSync(source).filter(name => name.endsWith('.safetensors'));

  test('a shard that is missing, or a link that leads nowhere', async () => {
    const missing =
      /^AT\/source\/model.safetensors.index.json: expected the shards it names, got no model-00002-of-\d+/;
    expect(await complaint(source => rmSync(join(source, shards(source)[1]!)))).toMatch(missing);
    const dangling = (source: string) => {
      const path = join(source, shards(source)[1]!);
      rmSync(path);
      symlinkSync('../nowhere', path);
    };
    expect(await complaint(dangling)).toMatch(missing);
  });

  test('a truncated shard', async () => {
    const message = await complaint(source => truncateSync(join(source, shards(source)[1]!), 20_000));
    expect(message).toMatch(
      /^AT\/source\/model-00002-of-\d+.safetensors: expected \d+ bytes of data after the header, got/,
    );
  });

  test('an index that reaches out of the folder', async () => {
    type Index = { weight_map: Record<string, string> };
    const change = (shard: string) => (source: string) =>
      editJson<Index>(source, INDEX, index => {
        const [name] = Object.keys(index.weight_map);
        return { ...index, weight_map: { ...index.weight_map, [name!]: shard } };
      });
    for (const shard of ['../secret.safetensors', '/etc/passwd', '..', 'a/b']) {
      expect(await complaint(change(shard))).toMatch(/^AT\/source\/.*index.json: expected a file name as shard of/);
    }
  });

  test('weights and configuration that disagree', async () => {
    const widen = (source: string) =>
      editJson<{ text_config: object }>(source, 'config.json', config => ({
        ...config,
        text_config: { ...config.text_config, intermediate_size: 96 },
      }));
    expect(await complaint(widen)).toMatch(/^checkpoint AT\/source: .* shape of .*gate_proj.weight expected \[96,32\]/);
  });

  test('a destination in the source, by any name, or the source itself', async () => {
    const inside = /^AT\/.*: expected a folder outside of the model to convert, got one in AT\/source$/;
    expect(await complaint(nothing, { target: 'source/new/deep' })).toMatch(inside);
    expect(await complaint(nothing, { target: 'source' })).toMatch(inside);
    const link = (source: string, target: string) => symlinkSync(source, target);
    expect(await complaint(link)).toMatch(inside);
    const through = (source: string) => symlinkSync(source, join(source, '../link'));
    expect(await complaint(through, { target: 'link/new' })).toMatch(inside);
  });

  test('a destination that holds something, or is a file, or is nowhere to be made', async () => {
    const full = (_: string, target: string) => {
      mkdirSync(target);
      writeFileSync(join(target, 'thesis.tex'), 'x');
    };
    expect(await complaint(full)).toBe('AT/target: expected a new or empty folder, got one with 1 files (thesis.tex)');
    const file = (_: string, target: string) => writeFileSync(target, 'x');
    expect(await complaint(file)).toBe('AT/target: expected a folder to write to, got a file');
    const below = (source: string) => writeFileSync(join(source, '../file'), 'x');
    expect(await complaint(below, { target: 'file/new' })).toMatch(/^AT\/file\/new: expected a folder .*, got ENOTDIR/);
  });

  test('unknown options and values, naming the nearest known one', async () => {
    expect(await complaint(nothing, { to: 'orignal' as 'original' })).toBe(
      'option to: expected hf, hf-new, original, onnx, gguf, got orignal (did you mean original?)',
    );
    expect(await complaint(nothing, { dtype: 'bf1' as 'bf16' })).toMatch(/got bf1 \(did you mean bf16\?\)$/);
    expect(await complaint(nothing, { maxShardBytes: 0 })).toBe('option maxShardBytes: expected at least 1, got 0');
    const options = { shards: 3 } as Partial<ConvertOptions>;
    expect(await complaint(nothing, options)).toMatch(/^options: expected known options, got shards/);
  });

  test('what has no files of a tokenizer, and quantised weights', async () => {
    using folder = temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await convertModel(END_TO_END, at('gguf'), { to: 'gguf' });
    await expect(convertModel(at('gguf'), at('out'), { to: 'hf' })).rejects.toThrow(
      /tokenizer that can be copied, got a GGUF/,
    );
    await quantizeModel(END_TO_END, at('int8'), {
      quantization: { format: 'w8a8', exceptions: [] },
      calibration: false,
    });
    await expect(convertModel(at('int8'), at('out'), { to: 'hf' })).rejects.toThrow(
      /expected float weights to convert, got w8a8/,
    );
  });

  test('what the original layout cannot say', async () => {
    using folder = temporaryFolder();
    const source = join(import.meta.dirname, '../../golden/models/llava-1.5-odd');
    const refused = convertModel(source, join(folder.path, 'out'), { to: 'original' });
    await expect(refused).rejects.toThrow(/expected a projector with biases, as the original layout has it/);
  });
});
