/** @file GGUF on the command line: converted, described, asked. */

import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { runCli } from '../../../src/app/cli/run-cli.ts';
import { openGguf } from '../../../src/weights/index.ts';
import { temporaryFolder } from '../weights/helpers.ts';

const SOURCE = join(import.meta.dirname, '../../golden/models/end-to-end');

async function run(...argv: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const signal = new AbortController().signal;
  const code = await runCli(argv, { stdin: Readable.from([]), stdout, stderr, signal });
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
}

// Each command imports all of the library anew, which takes long on a machine that is busy.
test('convert --to gguf, then info and ask', { timeout: 90_000 }, async () => {
  const folder = join(temporaryFolder(), 'out');
  expect(await run('convert', SOURCE, folder, '--to', 'gguf')).toMatchObject({ code: 0, stdout: `${folder}\n` });
  const [model, mmproj] = [join(folder, 'model-f32.gguf'), join(folder, 'mmproj-f32.gguf')];
  expect(openGguf(model).fields.string('tokenizer.chat_template')).toMatch(/^\{/);
  const info = await run('info', model, '--mmproj', mmproj);
  expect(info.stdout).toMatch(/CLIP ViT, 1 layers/);
  expect(info.stdout).not.toMatch(/problem/);
  const ask = await run('ask', '--model', folder, '--image', join(SOURCE, 'image.png'), '--max-tokens', '4', 'What?');
  expect(ask).toMatchObject({ code: 0, stderr: '' });
  const alone = await run('ask', '--model', model, '--image', join(SOURCE, 'image.png'), 'What?');
  expect(alone).toMatchObject({ code: 2, stdout: '' });
  expect(alone.stderr).toMatch(/expected a prompt without images for a language model/);
  const copy = join(temporaryFolder(), 'copy');
  expect(await run('quantize', folder, copy, '--format', 'w8a8')).toMatchObject({ code: 0 });
  const asked = await run('ask', '--model', copy, '--image', join(SOURCE, 'image.png'), '--max-tokens', '4', 'What?');
  expect(asked).toMatchObject({ code: 0, stderr: '' });
  expect((await run('convert', SOURCE, folder, '--to', 'gguf', '--dtype', 'bf16')).stderr).toMatch(
    /option dtype: expected keep, f32, f16, q8_0, q4_0 for gguf, got bf16/,
  );
  expect((await run('convert', SOURCE, folder, '--to', 'gguf')).stderr).toMatch(/expected a new or empty folder/);
});
