/** @file Folders of shards: those of huggingface_hub, our own, and broken ones. */

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { f32Tensor } from '../../../src/core/index.ts';
import {
  entrySource,
  openWeights,
  parseWeightIndex,
  saveWeights,
  type TensorSource,
  tensorSource,
} from '../../../src/weights/index.ts';
import { GOLDEN, refusal, rejection, temporaryFolder } from './helpers.ts';

const INDEX = 'model.safetensors.index.json';
const PUBLISHED = join(GOLDEN, 'sharded');

/** A copy of the folder that huggingface_hub wrote: three shards of a weight and a bias each. */
function copyOfPublished(): string {
  const folder = join(temporaryFolder(), 'checkpoint');
  cpSync(PUBLISHED, folder, { recursive: true });
  return folder;
}

function sources(count: number): TensorSource[] {
  return Array.from({ length: count }, (_, i) => tensorSource(`t${i}`, f32Tensor([4], [i, 1, 2, 3])));
}

test('reads the folder that huggingface_hub wrote, and writes the same shards', async () => {
  const store = openWeights(PUBLISHED);
  expect([...store.entries.keys()].sort()).toEqual([0, 1, 2].flatMap(i => [`layers.${i}.bias`, `layers.${i}.weight`]));
  expect(store.metadata).toEqual({ format: 'pt' });
  expect(store.has('layers.1.bias')).toBe(true);
  expect(store.has('layers.3.bias')).toBe(false);
  expect(store.read('layers.1.bias').shape).toEqual([4, 8]);
  const folder = join(temporaryFolder(), 'new', 'copy');
  await saveWeights(
    folder,
    [...store.entries.values()].map(entry => entrySource(entry)),
    { maxShardBytes: 300 },
  );
  for (const name of readdirSync(PUBLISHED).filter(file => file !== INDEX)) {
    expect(readFileSync(join(folder, name)).equals(readFileSync(join(PUBLISHED, name)))).toBe(true);
  }
  const index = (root: string): unknown => JSON.parse(readFileSync(join(root, INDEX), 'utf8'));
  expect(index(folder)).toEqual(index(PUBLISHED));
});

test('a single file needs no index; saving again removes files of the earlier save', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'config.json'), '{}');
  await saveWeights(folder, sources(3), { maxShardBytes: 20 });
  expect(readdirSync(folder).filter(name => name.startsWith('model')).length).toBe(4);
  await saveWeights(folder, sources(2));
  expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
  expect(openWeights(folder).read('t1').data).toEqual(Float32Array.of(1, 1, 2, 3));
  await saveWeights(folder, sources(3), { maxShardBytes: 32 });
  expect(readdirSync(folder).sort()).toEqual([
    'config.json',
    'model-00001-of-00002.safetensors',
    'model-00002-of-00002.safetensors',
    INDEX,
  ]);
  expect(openWeights(folder).entries.size).toBe(3);
});

test('no tensors at all are saved and opened', async () => {
  const folder = temporaryFolder();
  await saveWeights(folder, []);
  const store = openWeights(folder);
  expect(store.entries.size).toBe(0);
  expect(refusal(() => store.read('a'))).toContain('expected tensor "a", got none of that name');
});

test('a name that is not there: the nearest is named', () => {
  expect(refusal(() => openWeights(PUBLISHED).read('layers.1.bais'))).toBe(
    `${PUBLISHED}: expected tensor "layers.1.bais", got none of that name (nearest: layers.1.bias)`,
  );
});

test('no weights, no folder', () => {
  const folder = temporaryFolder();
  const torch = 'pytorch_model.bin or pytorch_model.bin.index.json';
  const expected = `expected model.safetensors or ${INDEX}, ${torch}`;
  expect(refusal(() => openWeights(folder))).toBe(`${folder}: ${expected}, got none of them`);
  const missing = join(folder, 'none', 'deeper');
  expect(refusal(() => openWeights(missing))).toBe(`${missing}: ${expected}, got no such folder`);
});

test('all missing shards are named', () => {
  const folder = copyOfPublished();
  rmSync(join(folder, 'model-00001-of-00003.safetensors'));
  rmSync(join(folder, 'model-00003-of-00003.safetensors'));
  expect(refusal(() => openWeights(folder))).toBe(
    `${join(folder, INDEX)}: expected the shards it names, got no model-00001-of-00003.safetensors, model-00003-of-00003.safetensors`,
  );
});

test('tensors that the index places in a shard without them are named; tensors beyond the index are kept', () => {
  const folder = copyOfPublished();
  const edit = (change: (map: Record<string, string>) => void): void => {
    const index = JSON.parse(readFileSync(join(PUBLISHED, INDEX), 'utf8')) as { weight_map: Record<string, string> };
    change(index.weight_map);
    writeFileSync(join(folder, INDEX), JSON.stringify(index));
  };
  edit(map => {
    map['layers.0.bias'] = 'model-00002-of-00003.safetensors';
    map.extra = 'model-00003-of-00003.safetensors';
  });
  expect(refusal(() => openWeights(folder))).toBe(
    `${join(folder, INDEX)}: expected the tensors it names, got no layers.0.bias in model-00002-of-00003.safetensors, extra in model-00003-of-00003.safetensors`,
  );
  edit(map => delete map['layers.0.bias']);
  expect(openWeights(folder).has('layers.0.bias')).toBe(true);
});

test('a shard name must not leave the folder', () => {
  const bad = ['../x.safetensors', '/etc/passwd', 'a/b', 'a\\b', 'C:x', '..', '.', '', 'a\0b', 7, null, ['x']];
  for (const shard of bad) {
    expect(refusal(() => parseWeightIndex({ weight_map: { w: shard } }, 'index'))).toBe(
      `index: expected a file name as shard of "w", got ${JSON.stringify(shard)}`,
    );
  }
  for (const index of [null, [], 'x', {}, { weight_map: [] }, { weight_map: null }]) {
    expect(refusal(() => parseWeightIndex(index, 'index'))).toBe('index: expected an object "weight_map", got none');
  }
});

test('a broken shard and a broken index name their file', () => {
  const folder = copyOfPublished();
  const shard = join(folder, 'model-00002-of-00003.safetensors');
  writeFileSync(shard, readFileSync(shard).subarray(0, 300));
  expect(refusal(() => openWeights(folder))).toContain(`${shard}: `);
  writeFileSync(join(folder, INDEX), '{"weight_map": {');
  expect(refusal(() => openWeights(folder))).toContain(`${join(folder, INDEX)}:1:17: expected`);
});

test('opening finishes a save that was killed between its renames', () => {
  const folder = copyOfPublished();
  renameSync(folder, join(folder, '..', '.checkpoint.old-1-abcd'));
  expect(existsSync(folder)).toBe(false);
  expect(openWeights(folder).entries.size).toBe(6);
});

test('a place that cannot be written is named', async () => {
  const file = join(copyOfPublished(), INDEX);
  expect(await rejection(saveWeights(file, sources(1)))).toBe(
    `${file}/model.safetensors: expected to write this file, got ENOTDIR: not a directory`,
  );
  expect(await rejection(saveWeights(join(file, 'x'), sources(1)))).toMatch(/expected to save weights, got ENOTDIR/);
});
