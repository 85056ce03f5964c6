/** @file Models in GGUF form as the source of quantised copies: the same prompts, tokens and pictures, nearly the same answers. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { loadModel, openModelFolder, quantizeModel, writeGgufPair } from '../../../src/engine/index.ts';
import { relativeError } from '../engine/tiny-model.ts';
import { temporaryFolder } from '../weights/helpers.ts';
import { contentOf, GOLDEN, greedy } from './helpers.ts';

const END_TO_END = join(import.meta.dirname, '../../golden/models/end-to-end');
const IMAGE = join(END_TO_END, 'image.png');
const PROMPT = 'USER: <image>\nwhat is in it? ASSISTANT:';

afterEach(() => vi.unstubAllEnvs());

async function pairFolder(): Promise<string> {
  const folder = temporaryFolder();
  await writeGgufPair(openModelFolder(END_TO_END), folder, { dtype: 'f32' });
  return folder;
}

test('a pair copied as floats, and the copy of the copy, answer as before, bit for bit', async () => {
  const source = await pairFolder();
  const [first, target] = [join(temporaryFolder(), 'first'), join(temporaryFolder(), 'copy')];
  await quantizeModel(source, first, { quantization: { format: 'float', exceptions: [] } });
  await quantizeModel(first, target, { quantization: { format: 'float', exceptions: [] } });
  using before = await loadModel(source, { threads: 1 });
  using after = await loadModel(target, { threads: 1 });
  expect(after.name).toBe(before.name);
  expect(after.config).toEqual({ ...before.config, extra: expect.anything() });
  expect(after.eosIds).toEqual(before.eosIds);
  expect(after.processor.template.name).toBe(before.processor.template.name);
  const [content, copied] = [await contentOf(before, PROMPT, [IMAGE]), await contentOf(after, PROMPT, [IMAGE])];
  expect(copied).toEqual(content);
  expect(await greedy(after, copied, 8)).toEqual(await greedy(before, content, 8));
});

test('quantised blocks of a language model alone become another form, in the cache', async () => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
  const source = join(GOLDEN, readdirSync(GOLDEN).find(name => /llama.*\.gguf$/.test(name))!);
  using float = await loadModel(source, { threads: 1 });
  using rounded = await loadModel(source, { threads: 1, quant: 'w8a16' });
  const content = { ids: [1, 5, 9, 13], images: [] };
  const [expected, got] = [await greedy(float, content, 1), await greedy(rounded, content, 1)];
  expect(relativeError(got.logits, expected.logits)).toBeLessThan(0.05);
  expect(got.logits).not.toEqual(expected.logits);
});
