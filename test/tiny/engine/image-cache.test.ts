/** @file Image features on disk: found again by a later model, never by another one, and proof against what else is there. */

import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LlavaError, Rng } from '../../../src/core/index.ts';
import { ImageCache, towerIdentity } from '../../../src/engine/image-cache.ts';
import { encodableImage, loadModel } from '../../../src/engine/index.ts';
import { modelGraphs, openModelFolder } from '../../../src/engine/model-folder.ts';
import { imageLayout } from '../../../src/models/index.ts';
import { TINY_CONFIG, temporaryFolder, tinyPixels, tinyWeights, writeTinyModel } from './tiny-model.ts';

const [ROWS, WIDTH] = [9, 64];
const features = (key: string, seed: number) => {
  const rng = new Rng(seed);
  return { key, rows: ROWS, data: Float32Array.from({ length: ROWS * WIDTH }, () => rng.normal()) };
};
const entries = (folder: string) => readdirSync(folder).filter(name => name.endsWith('.features'));
const identity = (folder: string) => {
  const { weights, ...files } = openModelFolder(folder);
  return towerIdentity(modelGraphs(files).vision!, weights, weights);
};

test('a later model has the same features without running its tower', async () => {
  using folder = temporaryFolder();
  using cache = temporaryFolder();
  await writeTinyModel(folder.path);
  const image = encodableImage({ pixels: tinyPixels(1), layout: imageLayout(TINY_CONFIG, { width: 24, height: 24 }) });
  const encode = async () => {
    using model = await loadModel(folder.path, { threads: 1, imageCache: cache.path });
    const [made] = await model.encodeImages([image]);
    return made!.data;
  };
  const first = await encode();
  const [name] = entries(cache.path);
  const { mtimeMs } = statSync(join(cache.path, name!));
  utimesSync(join(cache.path, name!), 1, 1);
  expect(await encode()).toEqual(first);
  expect(entries(cache.path)).toEqual([name]);
  expect(statSync(join(cache.path, name!)).mtimeMs).toBeGreaterThanOrEqual(mtimeMs); // used, so young again
  // What is in the file is what the model takes: its tower does not run.
  const other = await ImageCache.open(cache.path, identity(folder.path));
  await other.put({ ...features(image.key, 5) });
  expect(await encode()).toEqual(features(image.key, 5).data);
});

test('other weights, and other forms of the same weights, have names of their own', async () => {
  using a = temporaryFolder();
  using b = temporaryFolder();
  await writeTinyModel(a.path);
  await writeTinyModel(b.path, { weights: tinyWeights(TINY_CONFIG, 2) });
  const first = identity(a.path);
  expect(identity(a.path)).toBe(first);
  expect(identity(b.path)).not.toBe(first);
  const { weights, ...files } = openModelFolder(a.path);
  const quantised = modelGraphs(files, path => (path.includes('mlp') ? 'w8a8' : 'float')).vision!;
  const floats = new Map(quantised.params.map(({ name }) => [name, weights.get(name) ?? [...weights.values()][0]!]));
  expect(towerIdentity(quantised, floats, floats)).not.toBe(first);
  await writeTinyModel(a.path, { weights: tinyWeights(TINY_CONFIG, 3) });
  expect(identity(a.path)).not.toBe(first);
});

test('computed weights count by what they hold', () => {
  using folder = temporaryFolder();
  const { vision } = modelGraphs({ config: TINY_CONFIG, language: TINY_CONFIG.language } as never);
  const computed = (seed: number) =>
    new Map(
      Array.from(tinyWeights(TINY_CONFIG, seed), ([name, tensor]) => {
        const compute = () => tensor;
        return [name, { name, dtype: tensor.dtype, shape: tensor.shape, file: folder.path, storedBytes: 1, compute }];
      }),
    );
  const named = (seed: number) => towerIdentity(vision!, computed(seed), computed(seed));
  expect(named(1)).toBe(named(1));
  expect(named(1)).not.toBe(named(2));
});

test('damaged and foreign files are not used, and replaced', async () => {
  using folder = temporaryFolder();
  const cache = await ImageCache.open(folder.path, 'tower');
  await cache.put(features('a', 1));
  const file = join(folder.path, entries(folder.path)[0]!);
  const whole = readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[whole.length - 1]! ^= 1;
  const longRows = Buffer.from(whole);
  longRows.writeUInt32LE(0xffffffff, 8);
  const damaged = [Buffer.alloc(0), whole.subarray(0, 20), whole.subarray(0, 100), flipped, longRows, Buffer.from('x')];
  for (const bytes of [...damaged, Buffer.concat([whole, Buffer.alloc(4)])]) {
    writeFileSync(file, bytes);
    expect(await cache.get('a', ROWS)).toBeUndefined();
    await cache.put(features('a', 2));
    expect(await cache.get('a', ROWS)).toEqual(features('a', 2));
  }
  expect(await cache.get('a', ROWS + 1)).toBeUndefined();
  expect(await (await ImageCache.open(folder.path, 'other tower')).get('a', ROWS)).toBeUndefined();
});

test('folders, links and unknown names in its place do no harm', async () => {
  using folder = temporaryFolder();
  using elsewhere = temporaryFolder();
  const cache = await ImageCache.open(folder.path, 'tower');
  await cache.put(features('a', 1));
  const [name] = entries(folder.path);
  const blocked = await ImageCache.open(elsewhere.path, 'tower');
  mkdirSync(join(elsewhere.path, name!));
  await blocked.put(features('a', 1));
  expect(await blocked.get('a', ROWS)).toBeUndefined();
  writeFileSync(join(folder.path, 'notes.txt'), 'mine');
  symlinkSync('/dev/zero', join(folder.path, `${'0'.repeat(64)}.features`));
  await cache.put(features('b', 2));
  expect(await cache.get('b', ROWS)).toEqual(features('b', 2));
  expect(readFileSync(join(folder.path, 'notes.txt'), 'utf8')).toBe('mine');
});

test('keeps within its bound, the least recently used go first, and removes what killed processes left', async () => {
  using folder = temporaryFolder();
  const size = 48 + 4 * ROWS * WIDTH;
  const cache = await ImageCache.open(folder.path, 'tower', 3 * size);
  const left = join(folder.path, `.${'a'.repeat(64)}.features.tmp-1-aaaa`);
  writeFileSync(left, 'half');
  utimesSync(left, 1, 1);
  for (const [i, key] of ['a', 'b', 'c'].entries()) {
    const before = new Set(entries(folder.path));
    await cache.put(features(key, i));
    const made = entries(folder.path).find(name => !before.has(name))!;
    utimesSync(join(folder.path, made), 1000 + i, 1000 + i);
  }
  expect(await cache.get('a', ROWS)).toBeDefined();
  await cache.put(features('d', 4));
  const kept = await Promise.all(['a', 'b', 'c', 'd'].map(async key => (await cache.get(key, ROWS)) !== undefined));
  expect(kept).toEqual([true, false, true, true]);
  expect(readdirSync(folder.path)).toHaveLength(3);
});

test('a folder that cannot be one is an error of one line', async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'file'), '');
  for (const path of [join(folder.path, 'file'), join(folder.path, 'file/below'), '/proc/nothing']) {
    const error = await ImageCache.open(path, 'tower').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LlavaError);
    expect((error as Error).message).toMatch(/expected a folder to keep image features in, got [^\n]*$/);
  }
});

test('several that write the same entries at once never read half of one', async () => {
  using folder = temporaryFolder();
  const use = async () => {
    const cache = await ImageCache.open(folder.path, 'tower', 20 * (48 + 4 * ROWS * WIDTH));
    for (let i = 0; i < 12; i++) {
      const key = `k${i % 3}`;
      expect([undefined, features(key, i % 3)]).toContainEqual(await cache.get(key, ROWS));
      await cache.put(features(key, i % 3));
    }
  };
  await Promise.all([use(), use(), use()]);
  expect(readdirSync(folder.path)).toHaveLength(3);
});
