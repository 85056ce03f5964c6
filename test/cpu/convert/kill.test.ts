/** @file `llava convert` killed with SIGKILL again and again, at random moments: what comes out in the end is whole. */

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import { convertModel } from '../../../src/engine/index.ts';
import { files } from '../../tiny/convert/helpers.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SOURCE = join(ROOT, 'models/demo');
const KILLS = 8;
const root = mkdtempSync(join(tmpdir(), 'llava-convert-kill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs the command, killed after `files` more files have come. Returns the exit code, null when killed. */
function convert(target: string, more: number): Promise<number | null> {
  const options = ['--to', 'hf', '--dtype', 'f32', '--max-shard-size', '400KB'];
  const main = join(ROOT, 'dist/app/cli/main.js');
  const child = spawn(process.execPath, [main, 'convert', SOURCE, target, ...options], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const count = () => (existsSync(target) ? readdirSync(target).length : 0);
  const start = count();
  const timer = setInterval(() => {
    if (count() >= start + more) child.kill('SIGKILL');
  }, 1);
  return new Promise(resolve =>
    child.on('exit', code => {
      clearInterval(timer);
      resolve(code);
    }),
  );
}

test(`${KILLS} kills, then the whole model`, async () => {
  const [target, straight] = [join(root, 'target'), join(root, 'straight')];
  await convertModel(SOURCE, straight, { to: 'hf', dtype: 'f32', maxShardBytes: 400e3 });
  const rng = new Rng(1);
  let killed = 0;
  for (let i = 0; i < KILLS; i++) {
    const code = await convert(target, 1 + rng.int(4));
    if (code === 0) break;
    killed++;
    // Half a conversion never looks like a model.
    expect(existsSync(join(target, 'config.json')) && !existsSync(join(target, '.llava-convert.json'))).toBe(false);
  }
  expect(killed).toBeGreaterThan(3);
  if (existsSync(join(target, '.llava-convert.json'))) expect(await convert(target, Number.POSITIVE_INFINITY)).toBe(0);
  expect(files(target)).toEqual(files(straight));
  expect(JSON.parse(readFileSync(join(target, 'config.json'), 'utf8')).torch_dtype).toBe('float32');
});
