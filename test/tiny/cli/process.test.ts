/** @file The built command as a process: exit codes, a reader that leaves, Ctrl-C, start. */

import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, '.cache', `test-cli-${process.pid}`);
const MAIN = join(DIST, 'out/app/cli/main.js');
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
