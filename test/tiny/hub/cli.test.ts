/** @file Models named `org/name`, on the command line and in the library, with the environment that Python reads. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../../../src/app/cli/run-cli.ts';
import { Llava } from '../../../src/engine/index.ts';
import { hubSettings } from '../../../src/weights/hub/settings.ts';
import { temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';
import { COMMIT, stall } from './hub-server.ts';
import { Site } from './support.ts';

const model = temporaryFolder();
let site: Site;

beforeAll(() => writeTinyModel(model.path));
afterAll(() => model[Symbol.dispose]());

beforeEach(async () => {
  site = await Site.open();
  site.server.files.clear();
  for (const name of readdirSync(model.path)) {
    site.server.add(name, readFileSync(join(model.path, name)), { large: name.endsWith('.safetensors') });
  }
  const settings = {
    HF_ENDPOINT: site.server.endpoint,
    HF_HUB_CACHE: '',
    HF_HOME: site.cache.path,
    HF_HUB_OFFLINE: '',
  };
  for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await site[Symbol.asyncDispose]();
});

async function run(argv: string[], { isTTY = false, signal = new AbortController().signal } = {}) {
  const pieces = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof pieces) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          pieces[name] += chunk;
          done();
        },
      }),
      { isTTY },
    );
  const code = await runCli(argv, { stdin: Readable.from([]), stdout: sink('stdout'), stderr: sink('stderr'), signal });
  return { code, ...pieces };
}

const snapshot = () => join(site.cache.path, 'hub/models--org--name/snapshots', COMMIT);

describe('llava download', () => {
  test('prints the folder, and nothing else where there is no terminal', async () => {
    expect(await run(['download', 'org/name'])).toEqual({ code: 0, stdout: `${snapshot()}\n`, stderr: '' });
    expect(readFileSync(join(snapshot(), 'model.safetensors'))).toEqual(
      readFileSync(join(model.path, 'model.safetensors')),
    );
  });

  test('draws a bar on a terminal, and none when all is there', async () => {
    const { stderr } = await run(['download', 'org/name@v1.0'], { isTTY: true });
    expect(stderr.startsWith('\r\x1b[Korg/name@v1.0 ')).toBe(true);
    expect(stderr).toMatch(/ [█░]{24} \d+ kB\/\d+ kB · /);
    expect(stderr).toMatch(/█{24} (\d+ kB)\/\1 · 0 s left\n$/);
    expect((await run(['download', 'org/name@v1.0'], { isTTY: true })).stderr).toBe('');
  });

  test.each([
    [['download', 'org/none'], /^llava: org\/none: expected a folder or a repository of http.*, got neither/],
    [
      ['download', 'none'],
      'llava: none: expected org/name or org/name@revision of the Hub, got a path where nothing is\n',
    ],
    [['ask', '--model', 'org/none', 'what'], /^llava: org\/none: expected a folder or a repository/],
    [['info', 'org/name@none'], 'llava: org/name: expected an existing revision, got "none"\n'],
  ])('%j', async (argv, message) => {
    const { code, stdout, stderr } = await run(argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });

  test('Ctrl-C ends it with 130 and silence', async () => {
    const controller = new AbortController();
    site.server.fail(`storage /org/name/resolve/${COMMIT}/model.safetensors`, (...of) => {
      stall(...of);
      setTimeout(() => controller.abort(), 20);
    });
    const result = await run(['download', 'org/name'], { signal: controller.signal });
    expect(result).toEqual({ code: 130, stdout: '', stderr: '' });
  });
});

test('ask, chat and info take it as they take a folder', async () => {
  const ask = (name: string) => run(['ask', '--model', name, '--threads', '1', '--max-tokens', '4', 'what']);
  const answer = await ask('org/name');
  expect(answer).toEqual(await ask(model.path));
  expect(answer.code).toBe(0);
  const { name } = JSON.parse((await run(['info', '--json', 'org/name'])).stdout);
  expect(name).toBe('org/name');
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  expect(await ask('org/name')).toEqual(answer);
});

test('the library, too', async () => {
  const hub = { endpoint: site.server.endpoint, cacheFolder: join(site.cache.path, 'other') };
  await using llava = await Llava.load('org/name', { threads: 1, hub });
  expect(llava.name).toBe('org/name');
  expect(readdirSync(hub.cacheFolder)).toContain('models--org--name');
});

describe('the environment', () => {
  const home = join(homedir(), '.cache/huggingface');

  test.each<[Record<string, string>, object]>([
    [{}, { endpoint: 'https://huggingface.co', cacheFolder: join(home, 'hub'), offline: false }],
    [{ HF_HOME: '/h' }, { cacheFolder: '/h/hub' }],
    [{ HF_HOME: '~/h' }, { cacheFolder: join(homedir(), 'h/hub') }],
    [{ HF_HOME: '/h', HF_HUB_CACHE: '/c' }, { cacheFolder: '/c' }],
    [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/c' }, { cacheFolder: '/c' }],
    [{ XDG_CACHE_HOME: '/x' }, { cacheFolder: '/x/huggingface/hub' }],
    [{ HF_ENDPOINT: 'http://mirror/hf/' }, { endpoint: 'http://mirror/hf' }],
    [{ HF_HUB_OFFLINE: 'True' }, { offline: true }],
    [{ TRANSFORMERS_OFFLINE: '1' }, { offline: true }],
    [{ HF_HUB_OFFLINE: '0' }, { offline: false }],
    [{ HF_TOKEN: ' hf_x\n' }, { token: 'hf_x' }],
    [{ HUGGING_FACE_HUB_TOKEN: 'hf_y' }, { token: 'hf_y' }],
  ])('%j', (environment, expected) => {
    expect(hubSettings({}, environment)).toMatchObject(expected);
  });

  test('a token from the login of Python', () => {
    mkdirSync(join(site.cache.path, 'login'));
    writeFileSync(join(site.cache.path, 'login/token'), 'hf_file\n');
    writeFileSync(join(site.cache.path, 'elsewhere'), 'hf_elsewhere');
    const login = join(site.cache.path, 'login');
    expect(hubSettings({}, { HF_HOME: login }).token).toBe('hf_file');
    expect(hubSettings({}, { HF_HOME: login, HF_TOKEN: 'hf_x' }).token).toBe('hf_x');
    expect(hubSettings({}, { HF_TOKEN_PATH: join(site.cache.path, 'elsewhere') }).token).toBe('hf_elsewhere');
  });

  test.each([
    [{ HF_ENDPOINT: 'mirror' }, 'HF_ENDPOINT: expected an http or https URL, got "mirror"'],
    [{ HF_ENDPOINT: 'file:///x' }, 'HF_ENDPOINT: expected an http or https URL'],
    [
      { HF_TOKEN: 'hf_\u00e9' },
      'token of the Hub (HF_TOKEN or its file): expected printable letters, got something else',
    ],
  ])('%j is refused', (environment, message) => {
    expect(() => hubSettings({}, environment)).toThrow(message);
  });
});
