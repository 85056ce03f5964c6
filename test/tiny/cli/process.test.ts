/** @file The built command as a process: exit codes, a reader that leaves, Ctrl-C, start. */

import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';
import { COMMIT, HubServer } from '../hub/hub-server.ts';
import { sha256 } from '../hub/support.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, '.cache', `test-cli-${process.pid}`);
const MAIN = join(DIST, 'out/app/cli/main.js');
const IMAGE = join(ROOT, 'test/golden/processor-image/files/large.jpg');
const folder = temporaryFolder();

beforeAll(async () => {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(DIST, 'out')], { cwd: ROOT });
  copyFileSync(join(ROOT, 'package.json'), join(DIST, 'package.json'));
  await writeTinyModel(folder.path);
}, 60_000);

afterAll(() => {
  rmSync(DIST, { recursive: true, force: true });
  folder[Symbol.dispose]();
});

function llava(...argv: string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [MAIN, ...argv]);
}

async function outcome(child: ChildProcessWithoutNullStreams) {
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', chunk => (stdout += chunk));
  child.stderr.on('data', chunk => (stderr += chunk));
  const code = await new Promise(resolve => child.on('close', resolve));
  return { code, stdout, stderr };
}

test('answers and ends with 0', async () => {
  const result = await outcome(llava('ask', '--model', folder.path, '--max-tokens', '5', 'what'));
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toMatch(/\n$/);
});

test('two processes at once share a cache of image features', async () => {
  const cache = join(DIST, 'images');
  const argv = ['ask', '--model', folder.path, '--max-tokens', '5', '--image', IMAGE, 'what'];
  const plain = await outcome(llava(...argv));
  const caching = () => outcome(llava(...argv, '--image-cache', cache));
  expect(await Promise.all([caching(), caching()])).toEqual([plain, plain]);
  expect(readdirSync(cache)).toHaveLength(1);
}, 60_000);

test('a mistake ends with 2', async () => {
  const result = await outcome(llava('ask', '--modle', 'x', 'what'));
  expect(result).toEqual({
    code: 2,
    stdout: '',
    stderr: 'llava: ask: expected a known option, got --modle (did you mean --model?)\n',
  });
});

test('a reader that has left is no error', async () => {
  const child = llava('--help');
  child.stdout.destroy();
  const { code, stderr } = await outcome(child);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

test.skipIf(process.platform === 'win32')('Ctrl-C ends with 130 at once', async () => {
  const child = llava('ask', '--model', folder.path, '--image', '-', 'what');
  const ended = outcome(child);
  // More than a pipe holds: once it is through, the process is up, and waits for the rest of the image.
  await new Promise(resolve => child.stdin.write(Buffer.alloc(2 ** 20), resolve));
  child.kill('SIGINT');
  expect(await ended).toEqual({ code: 130, stdout: '', stderr: '' });
});

test.skipIf(process.platform === 'win32')(
  'a killed download goes on in the next processes, once for both',
  async () => {
    await using server = await HubServer.start();
    const weights = Buffer.alloc(3_000_000, 'weights');
    server.add('config.json', '{}');
    server.add('model.safetensors', weights, { large: true });
    const path = `storage /org/name/resolve/${COMMIT}/model.safetensors`;
    server.fail(path, (_request, response) => {
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, 1_000_000));
    });
    using home = temporaryFolder();
    const env = {
      ...process.env,
      HF_HOME: home.path,
      HF_HUB_CACHE: '',
      HF_ENDPOINT: server.endpoint,
      HF_HUB_OFFLINE: '',
    };
    const download = () => spawn(process.execPath, [MAIN, 'download', 'org/name'], { env });

    const killed = download();
    const part = join(home.path, 'hub/models--org--name/blobs', `${sha256(weights)}.incomplete`);
    const isHalf = () => statSync(part, { throwIfNoEntry: false })?.size === 1_000_000;
    await vi.waitUntil(isHalf, { timeout: 60_000 });
    killed.kill('SIGKILL');
    await outcome(killed);
    const [one, two] = await Promise.all([download(), download()].map(outcome));
    const folder = join(home.path, 'hub/models--org--name/snapshots', COMMIT);
    expect(one).toEqual({ code: 0, stdout: `${folder}\n`, stderr: '' });
    expect(two).toEqual(one);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(server.downloads('model.safetensors')).toBe(2);
    const asked = server.requests.filter(request => request.server === 'storage');
    expect(asked.map(({ range }) => range)).toEqual([undefined, 'bytes=1000000-']);
  },
);

test('--help loads none of the heavy packages', () => {
  const program = `
    import { _cache } from 'node:module';
    process.argv.push('llava', '--help');
    await import(${JSON.stringify(MAIN)});
    console.error(Object.keys(_cache).join());`;
  const child = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  expect(child.stdout).toContain('llava COMMAND --help');
  expect(child.stderr).toContain('commander');
  expect(child.stderr).not.toMatch(/koffi|sharp|onnxruntime/);
});
