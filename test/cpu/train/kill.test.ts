/** @file `llava train` killed with SIGKILL at a random moment, then started again: the same losses, the same weights. */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';

const MAIN = join(import.meta.dirname, '../../../dist/app/cli/main.js');
const root = mkdtempSync(join(tmpdir(), 'llava-kill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const COLOURS = { red: '#d22', green: '#2a3', blue: '#23d' };

async function writeDataset(): Promise<void> {
  const rows = [];
  mkdirSync(join(root, 'images'));
  for (const [name, background] of Object.entries(COLOURS)) {
    const image = sharp({ create: { width: 16, height: 16, channels: 3, background } });
    await image.png().toFile(join(root, 'images', `${name}.png`));
    const conversations = [
      { from: 'human', value: 'What colour is it?\n<image>' },
      { from: 'gpt', value: name },
    ];
    rows.push({ id: name, image: `${name}.png`, conversations });
  }
  writeFileSync(join(root, 'data.json'), JSON.stringify(rows));
}

function writeRecipe(): string {
  const tower = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2 };
  const source = { source: 'llava-json', options: { file: 'data.json', images: 'images' } };
  const recipe = {
    name: 'kill',
    tokenizer: { vocabSize: 300, lines: 3, data: source },
    stages: [
      {
        ...{ name: 'tune', kind: 'finetune', data: [source], steps: 60, batchSize: 3, learningRate: 0.003 },
        ...{ saveEvery: 7, maxLength: 200, trainVision: true },
        model: {
          model_type: 'llava',
          vision_config: { ...tower, image_size: 16, patch_size: 8 },
          text_config: { ...tower, max_position_embeddings: 256 },
        },
      },
    ],
  };
  writeFileSync(join(root, 'recipe.json'), JSON.stringify(recipe));
  return join(root, 'recipe.json');
}

/** Runs the command; kills it as soon as the log has `killAt` lines. Returns the exit code, null when killed. */
function train(output: string, killAt = Number.POSITIVE_INFINITY): Promise<number | null> {
  const args = [MAIN, 'train', '--recipe', join(root, 'recipe.json'), '--data', root, '--output', output];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const log = join(output, 'tune.jsonl');
  const timer = setInterval(() => {
    if (existsSync(log) && readFileSync(log, 'utf8').split('\n').length > killAt) child.kill('SIGKILL');
  }, 5);
  return new Promise(resolve =>
    child.on('exit', code => {
      clearInterval(timer);
      resolve(code);
    }),
  );
}

const losses = (output: string): number[] =>
  readFileSync(join(output, 'tune.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).loss);

test('kill -9 three times, and the run is the unbroken run', async () => {
  await writeDataset();
  writeRecipe();
  const [whole, broken] = [join(root, 'whole'), join(root, 'broken')];
  expect(await train(whole)).toBe(0);
  for (const killAt of [10, 23, 41]) expect(await train(broken, killAt)).toBe(null);
  expect(await train(broken)).toBe(0);
  expect(losses(broken)).toEqual(losses(whole));
  const weights = (output: string) => readFileSync(join(output, 'tune/model.safetensors'));
  expect(weights(broken).equals(weights(whole))).toBe(true);
});
