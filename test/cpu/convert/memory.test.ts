/** @file `llava info` foretells what a process holds once it has answered: within 10 %, at full context. Needs /proc. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { describeModel, quantizeModel } from '../../../src/engine/index.ts';
import { type Published, writeSynthetic } from './synthetic.ts';

const ROOT = join(import.meta.dirname, '../../..');
const root = mkdtempSync(join(tmpdir(), 'llava-memory-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** 211 million parameters. */
const middling = (dtype: Published['dtype']): Published => ({
  json: {
    model_type: 'llava',
    image_token_index: 8000,
    conversation_template: 'v1',
    vision_config: {
      ...{ model_type: 'clip_vision_model', hidden_size: 512, intermediate_size: 2048 },
      ...{ num_hidden_layers: 8, num_attention_heads: 8, image_size: 224, patch_size: 14 },
    },
    text_config: {
      ...{ model_type: 'llama', hidden_size: 1024, intermediate_size: 2816, num_hidden_layers: 13 },
      ...{ num_attention_heads: 16, max_position_embeddings: 1024, vocab_size: 8064 },
    },
  },
  layout: 'hf',
  dtype,
  shards: 2,
  tokens: 8000,
});

/** Asks what fills most of the context; prints resident bytes and positions. */
const CHILD = `
import { readFileSync } from 'node:fs';
const { Llava } = await import(${JSON.stringify(pathToFileURL(join(ROOT, 'dist/index.js')).href)});
const [folder, image, kvCache] = process.argv.slice(1);
const model = await Llava.load(folder, { threads: 2, kvCache });
let question = 'what is this ';
let usage;
for (let times = 130; times > 0 && !usage; times -= 10) {
  // refused at once where it does not fit
  usage = (await model.answer(question.repeat(times), { image, maxTokens: 2 }).catch(() => undefined))?.usage;
}
const [, resident] = /VmRSS:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(JSON.stringify({ resident: 1024 * Number(resident), positions: usage.promptTokens }));
`;

/** Resident and foretold bytes of a process that has answered what fills most of the context. */
function measure(name: string, folder: string, kvCache: 'f32' | 'f16') {
  const image = join(ROOT, 'test/golden/processor-image/files/rgb.jpg');
  const argv = ['--input-type=module', '-e', CHILD, folder, image, kvCache];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  expect(stderr).toBe('');
  const { resident, positions } = JSON.parse(stdout);
  const { memory, contextLength, problems } = describeModel(folder, { kvCache });
  expect(problems).toEqual([]);
  const foretold = memory.total - memory.cache * (1 - positions / contextLength);
  const [held, told] = [resident, foretold].map(bytes => Math.round(bytes / 1e6));
  console.log(`${name}: ${held} MB at ${positions} positions, foretold ${told} MB`);
  expect(positions).toBeGreaterThan(700);
  return { resident, foretold };
}

test.skipIf(!existsSync('/proc/self/status')).each(['f32', 'f16', 'bf16'] as const)('weights of %s', async dtype => {
  const folder = join(root, dtype);
  await writeSynthetic(folder, middling(dtype), 'random');
  const { resident, foretold } = measure(dtype, folder, 'f32');
  expect(Math.abs(resident / foretold - 1)).toBeLessThan(0.1);
  rmSync(folder, { recursive: true });
});

test.skipIf(!existsSync('/proc/self/status')).each(['w8a8', 'int4'] as const)(
  'weights in %s, keys and values in f16',
  async format => {
    const [source, folder] = [join(root, 'floats'), join(root, format)];
    await writeSynthetic(source, middling('f16'), 'random');
    await quantizeModel(source, folder, { quantization: { format, exceptions: [] }, calibration: false });
    const { resident, foretold } = measure(format, folder, 'f16');
    expect(Math.abs(resident / foretold - 1)).toBeLessThan(0.1);
    for (const made of [source, folder]) rmSync(made, { recursive: true });
  },
);
