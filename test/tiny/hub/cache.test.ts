/** @file What lies in the cache after a download, which files are chosen, and what needs no server. */

import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repoOfSnapshot, resolveModel, resolveRepo } from '../../../src/weights/index.ts';
import { COMMIT } from './hub-server.ts';
import { gitHash, Site, sha256, WEIGHTS } from './support.ts';

const names = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

describe('layout', () => {
  test('is that of Python', async () => {
    await using site = await Site.open();
    const folder = await site.resolve();
    expect(folder).toBe(site.path('snapshots', COMMIT));
    expect(names(folder)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(readFileSync(site.path('refs/main'), 'utf8')).toBe(COMMIT);
    const config = readFileSync(join(folder, 'config.json'));
    expect(site.blobs.sort()).toEqual([gitHash(config), gitHash(Buffer.from('{}')), sha256(WEIGHTS)].sort());
    expect(readlinkSync(join(folder, 'model.safetensors'))).toBe(`../../blobs/${sha256(WEIGHTS)}`);
    expect(names(site.path('.no_exist', COMMIT))).toContain('generation_config.json');
    expect(names(site.path('.no_exist', COMMIT))).not.toContain('config.json');
    expect(names(site.path()).filter(name => /incomplete|tmp|lock/.test(name))).toEqual([]);
    expect(repoOfSnapshot(folder)).toBe('org/name');
  });

  test.each(['v1.0', 'refs/pr/1'])('revision %s', async revision => {
    await using site = await Site.open();
    expect(await site.resolve(`org/name@${revision}`)).toBe(site.path('snapshots', COMMIT));
    expect(readFileSync(site.path('refs', revision), 'utf8')).toBe(COMMIT);
    expect(names(site.path('refs')).includes('main')).toBe(false);
  });

  test('a commit needs no ref, and once there no server', async () => {
    await using site = await Site.open();
    const folder = await site.resolve(`org/name@${COMMIT}`);
    expect(names(site.path())).not.toContain('refs');
    const asked = site.server.requests.length;
    expect(await site.resolve(`org/name@${COMMIT}`)).toBe(folder);
    expect(site.server.requests).toHaveLength(asked);
  });

  test('what is there is not fetched again; a new commit brings only what has changed', async () => {
    await using site = await Site.open();
    await site.resolve();
    await site.resolve();
    expect(site.server.downloads('model.safetensors')).toBe(1);
    site.server.commit = 'd'.repeat(40);
    site.server.add('config.json', '{"model_type": "llama"}');
    const folder = await site.resolve();
    expect(folder).toBe(site.path('snapshots', 'd'.repeat(40)));
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toContain('llama');
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    expect([site.server.downloads('model.safetensors'), site.server.downloads('config.json')]).toEqual([0, 1]);
    expect(readFileSync(site.path('refs/main'), 'utf8')).toBe('d'.repeat(40));
  });

  test('a damaged blob and a link to nothing are mended', async () => {
    await using site = await Site.open();
    const folder = await site.resolve();
    writeFileSync(site.path('blobs', sha256(WEIGHTS)), 'cut off');
    rmSync(site.path('blobs', gitHash(Buffer.from('{}'))));
    await site.resolve();
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(readFileSync(join(folder, 'tokenizer.json'), 'utf8')).toBe('{}');
    expect(lstatSync(join(folder, 'tokenizer.json')).isSymbolicLink()).toBe(true);
  });

  test('two revisions of one content share it', async () => {
    await using site = await Site.open();
    site.server.add('preprocessor_config.json', '{}');
    await site.resolve();
    expect(site.server.downloads('preprocessor_config.json') + site.server.downloads('tokenizer.json')).toBe(1);
  });
});

describe('only what a model needs', () => {
  const others = ['README.md', '.gitattributes', 'model.pth', 'flax_model.msgpack', 'onnx/model.onnx', 'tf_model.h5'];
  const settings = ['config.json', 'tokenizer.json', 'tokenizer.model', 'merges.txt', 'chat_template.jinja'];

  async function chosen(files: readonly string[], options = {}): Promise<string[]> {
    await using site = await Site.open();
    site.server.files.clear();
    const index = { weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } };
    for (const file of [...others, ...settings, ...files]) {
      const isIndex = file.endsWith('.index.json');
      const old = file.startsWith('pytorch');
      const text = JSON.stringify(index);
      const content = isIndex
        ? old
          ? text.replaceAll(/model-(\d+-of-\d+)\.safetensors/g, 'pytorch_model-$1.bin')
          : text
        : file;
      site.server.add(file, content);
    }
    const folder = await site.resolve('org/name', options);
    return names(folder).filter(name => !settings.includes(name));
  }

  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const oldShards = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'];

  test.each<[string, string[], string[]]>([
    ['safetensors, not .bin', ['model.safetensors', 'pytorch_model.bin'], ['model.safetensors']],
    [
      'shards of an index',
      ['model.safetensors.index.json', ...shards, 'consolidated.safetensors', 'model-00003-of-00003.safetensors'],
      [...shards, 'model.safetensors.index.json'],
    ],
    ['.bin where there is nothing else', ['pytorch_model.bin', 'mm_projector.bin'], ['pytorch_model.bin']],
    [
      'shards of .bin',
      ['pytorch_model.bin.index.json', ...oldShards, 'trainer_state.json'],
      [...oldShards, 'pytorch_model.bin.index.json'],
    ],
    [
      'safetensors in shards, not .bin in one',
      ['model.safetensors.index.json', ...shards, 'pytorch_model.bin'],
      [...shards, 'model.safetensors.index.json'],
    ],
    [
      'an adapter with its other parts',
      ['adapter_model.bin', 'adapter_config.json', 'non_lora_trainables.bin'],
      ['adapter_config.json', 'adapter_model.bin', 'non_lora_trainables.bin'],
    ],
    ['a projector alone', ['mm_projector.bin'], ['mm_projector.bin']],
  ])('%s', async (_what, files, expected) => {
    expect(await chosen(files)).toEqual(expected);
  });

  test('settings alone on request', async () => {
    expect(await chosen(['model.safetensors', 'preprocessor_config.json'], { weights: false })).toEqual([
      'preprocessor_config.json',
    ]);
  });

  test('a repository without any is refused, naming what it has', async () => {
    await expect(chosen(['model.q4.gguf'])).rejects.toThrow(/or an adapter, got model\.pth, flax_model\.msgpack/);
  });

  test('a shard that is not there is named', async () => {
    await expect(chosen(['model.safetensors.index.json', shards[0]!])).rejects.toThrow(
      `org/name: model.safetensors.index.json: expected the shards it names, got no ${shards[1]}`,
    );
  });
});

describe('offline', () => {
  test('takes what is there, however it came', async () => {
    await using site = await Site.open();
    const folder = await site.resolve();
    const asked = site.server.requests.length;
    expect(await site.resolve('org/name', { offline: true })).toBe(folder);
    expect(await site.resolve(`org/name@${COMMIT}`, { offline: true })).toBe(folder);
    expect(site.server.requests).toHaveLength(asked);
  });

  test('says what is missing', async () => {
    await using site = await Site.open();
    const attempt = (name: string, options = {}) => site.resolve(name, { offline: true, ...options });
    await expect(attempt('org/name')).rejects.toThrow(
      `org/name: expected a folder, or the repository at main in ${site.cache.path} (HF_HUB_OFFLINE is set), got nothing of it`,
    );
    const folder = await site.resolve('org/name', { weights: false });
    expect(await attempt('org/name', { weights: false })).toBe(folder);
    await expect(attempt('org/name')).rejects.toThrow('got not all of its weights');
    await expect(attempt('org/name@v1.0')).rejects.toThrow('at v1.0 in');
    rmSync(join(folder, 'config.json'));
    await expect(attempt('org/name')).rejects.toThrow('got no config.json');
  });

  test('shards are counted', async () => {
    await using site = await Site.open();
    site.server.files.delete('model.safetensors');
    site.server.add('model.safetensors.index.json', '{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}');
    site.server.add('one.safetensors', 'one', { large: true });
    site.server.add('two.safetensors', 'two', { large: true });
    const folder = await site.resolve();
    expect(await site.resolve('org/name', { offline: true })).toBe(folder);
    rmSync(join(folder, 'two.safetensors'));
    await expect(site.resolve('org/name', { offline: true })).rejects.toThrow('got not all of its weights');
  });

  test('settings alone do not take the place of an older whole model', async () => {
    await using site = await Site.open();
    const old = await site.resolve();
    site.server.commit = 'd'.repeat(40);
    site.server.add('config.json', '{"new": true}');
    expect(await site.resolve('org/name', { weights: false })).toBe(site.path('snapshots', 'd'.repeat(40)));
    expect(await site.resolve('org/name', { offline: true })).toBe(old);
  });

  test.each(['nobody answers', 'the server is down', 'the token is no longer good'])('when %s, too', async what => {
    await using site = await Site.open();
    const folder = await site.resolve();
    if (what === 'nobody answers') {
      expect(await site.resolve('org/name', { endpoint: 'http://127.0.0.1:1' })).toBe(folder);
    } else {
      if (what === 'the server is down')
        site.server.fail('/api/models/org/name/revision/main', (_q, r) => void r.writeHead(503).end());
      else site.server.token = 'another';
      expect(await site.resolve()).toBe(folder);
    }
  });
});

describe('names', () => {
  test('a path that exists wins; what cannot be a repository stays a path', async () => {
    await using site = await Site.open();
    mkdirSync(join(site.cache.path, 'here'));
    const options = { ...site.options, offline: true };
    for (const path of [join(site.cache.path, 'here'), './org/name', '/org/name', 'a/b/c', 'name', '../name', 'a\\b']) {
      expect(await resolveModel(path, options)).toBe(path);
    }
    expect(await resolveModel('src/weights', options)).toBe('src/weights');
    await expect(resolveModel('org/name', options)).rejects.toThrow('HF_HUB_OFFLINE');
  });

  test.each(['name', 'a/b/c', './a', 'a/..', 'a/.b', 'a--b/c', 'a/b.git', 'a b/c', '', '/'])(
    '%j is no repository',
    async name => {
      await expect(resolveRepo(name)).rejects.toThrow(
        'expected the name of a repository, org/name or org/name@revision',
      );
    },
  );

  test.each(['', '..', 'a/../b', '/a', 'a\\b', 'a\nb', 'a//b', 'c:d'])('%j is no revision', async revision => {
    await expect(resolveRepo(`org/name@${revision}`)).rejects.toThrow('expected a branch, tag or commit after @');
  });

  test('unknown options', async () => {
    await expect(resolveRepo('org/name', { cacheDir: '/x' } as object)).rejects.toThrow('did you mean cacheFolder');
  });
});

test('a cache that may not be written is used as it is', async () => {
  await using site = await Site.open();
  const folder = await site.resolve();
  const moved = join(site.cache.path, 'moved');
  symlinkSync(site.path(), moved); // only so that a write would show
  const before = names(site.path()).map(name => [name, lstatSync(site.path(name)).mtimeMs]);
  expect(await site.resolve()).toBe(folder);
  expect(names(site.path()).map(name => [name, lstatSync(site.path(name)).mtimeMs])).toEqual(before);
});
