/** @file LLaVA-1.6 on the command line: asked, described, and by whose rules. */

import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NEXT_FOLDER, NEXT_GOLDEN } from '../engine/next-golden.ts';
import { writeOriginalNext } from '../engine/original-folder.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';
import { runCommand as run } from './run-command.ts';

const folder = temporaryFolder();
beforeAll(() => writeOriginalNext(folder.path));
afterAll(() => folder[Symbol.dispose]());

const image = join(NEXT_FOLDER, NEXT_GOLDEN.image);
const model = () => join(folder.path, 'llava-v1.6-tiny');
const ask = (...options: string[]) => ['ask', '--threads', '1', '--max-tokens', '2', '--json', ...options, 'what'];

describe('ask', () => {
  test.each([
    ['original', 26],
    ['hf', 44],
  ])('by the rules of %s a picture of 30 × 20 takes %i tokens', async (compat, imageTokens) => {
    const small = join(folder.path, 'small.png');
    await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } }).toFile(small);
    const { stdout, code, stderr } = await run(ask('--model', NEXT_FOLDER, '--image', small, '--compat', compat));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout).usage.imageTokens).toBe(imageTokens);
  });

  test('an original folder', async () => {
    const { stdout, code } = await run(ask('--model', model(), '--image', image));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ usage: { imageTokens: 70, completionTokens: 2 } });
  });

  test('an unknown rule is refused', async () => {
    const { code, stderr } = await run(ask('--model', NEXT_FOLDER, '--compat', 'mine'));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/Allowed choices are original, hf/);
  });
});

describe('info', () => {
  test('tells tiles and tokens, and whose rules hold', async () => {
    const { stdout } = await run(['info', model()]);
    expect(stdout).toMatch(/image +up to 88 tokens, from up to 5 tiles by the rules of original/);
    expect((await run(['info', model(), '--compat', 'hf'])).stdout).toMatch(/by the rules of hf/);
  });
});
