/** @file `llava train` and `llava eval` one after the other, on a model of a few thousand weights and eight images. */

import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../../src/app/cli/commands.ts';
import { runCli } from '../../../src/app/cli/run-cli.ts';
import type { EvalReport, EvalRow } from '../../../src/eval/index.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';

const DATA = join(import.meta.dirname, '../../golden/data-sources/easy-vqa/subset.tar');
const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());

function sink(isTTY: boolean) {
  const pieces: string[] = [];
  const write: Writable['_write'] = (chunk, _encoding, done) => {
    pieces.push(String(chunk));
    done();
  };
  return { pieces, stream: Object.assign(new Writable({ write }), { isTTY }) };
}

async function run(argv: string[], isTTY = false) {
  const [stdout, stderr] = [sink(isTTY), sink(isTTY)];
  const { signal } = new AbortController();
  const io: Io = { stdin: Readable.from([]), stdout: stdout.stream, stderr: stderr.stream, signal };
  const code = await runCli(argv, io);
  return { code, stdout: stdout.pieces.join(''), stderr: stderr.pieces.join('') };
}

const source = (task: string, options: object = {}) => [{ source: 'easy-vqa', options: { task, ...options } }];
const TOWER = { hidden_size: 32, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2 };
const STEPS = { steps: 2, batchSize: 2, learningRate: 0.001, saveEvery: 1 };

/** The four kinds of stages, two steps each. */
const RECIPE = {
  name: 'tiny',
  tokenizer: { vocabSize: 400, lines: 50, data: source('text')[0] },
  stages: [
    {
      ...{ name: 'clip', kind: 'clip', data: source('caption', { mirror: true }), ...STEPS },
      model: {
        model_type: 'clip',
        projection_dim: 16,
        vision_config: { ...TOWER, image_size: 64, patch_size: 16 },
        text_config: { ...TOWER, max_position_embeddings: 16 },
      },
    },
    {
      ...{ name: 'language', kind: 'language', data: source('text'), maxLength: 64, ...STEPS },
      model: { model_type: 'llama', ...TOWER, max_position_embeddings: 256 },
    },
    {
      ...{ name: 'stage1', kind: 'projector', data: source('caption'), template: 'plain', ...STEPS },
      init: { vision: 'clip', language: 'language' },
      model: { model_type: 'llava' },
    },
    { name: 'stage2', kind: 'finetune', init: { all: 'stage1' }, data: source('vqa', { turns: 2 }), ...STEPS },
  ],
};

const recipe = join(folder.path, 'recipe.json');
const output = join(folder.path, 'run');
const model = join(output, 'stage2');
const evaluate = (...more: string[]) =>
  run(['eval', model, '--task', 'easy-vqa', '--data', DATA, '--threads', '1', ...more]);

describe('train', () => {
  beforeAll(() => writeFileSync(recipe, JSON.stringify(RECIPE)));
  const train = () => run(['train', '--recipe', recipe, '--data', DATA, '--output', output, '--threads', '1']);

  test('runs the stages of a recipe and prints the folder of the last', async () => {
    const { code, stdout, stderr } = await train();
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${model}\n` });
    const lines = stderr.split('\n');
    for (const { name, kind } of RECIPE.stages) {
      expect(lines).toContainEqual(expect.stringMatching(`^${name}: ${kind}, 2 steps, .* parameters trained$`));
      expect(lines).toContainEqual(expect.stringMatching(`^${name}: loss [0-9.]+, saved in `));
      expect(readFileSync(join(output, `${name}.jsonl`), 'utf8').split('\n')).toHaveLength(3);
    }
  }, 60_000);

  test('does nothing that is done already', async () => {
    const { code, stderr } = await train();
    expect(code).toBe(0);
    expect(stderr.match(/done before/g)).toHaveLength(4);
  });

  test('names the option that the recipe needs', async () => {
    const { code, stderr } = await run(['train', '--recipe', recipe, '--output', join(folder.path, 'other')]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^llava: data: expected --data with the folder or tar archive of easy-VQA, got none\n$/);
  });
});

describe('eval', () => {
  const rowsOf = (file: string) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as EvalRow);

  test('prints a table', async () => {
    const { code, stdout, stderr } = await evaluate();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^shape +\d+ \/ +\d+ +[\d.]+ %\ncolor .*\nyesno .*\noverall +\d+ \/ 18 +[\d.]+ %\n$/);
  });

  test('writes a row a question, and goes on where it was broken off', async () => {
    const file = join(folder.path, 'rows.jsonl');
    const first = await evaluate('--json', '--output', file);
    const report = JSON.parse(first.stdout) as EvalReport;
    const rows = rowsOf(file);
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 18 }, (_, i) => (i < 11 ? `0-${i}` : `1-${i - 11}`)));
    expect(rows[0]).toMatchObject({ kind: 'shape', question: '<image>\nwhat is the red shape?', expected: 'triangle' });
    expect(rows.filter(({ correct }) => correct)).toHaveLength(report.overall.correct);
    writeFileSync(file, readFileSync(file, 'utf8').split('\n').slice(0, 5).join('\n'));
    const second = await evaluate('--json', '--output', file);
    expect(second.stderr).toBe('4 of 18 questions were answered before\n');
    expect((JSON.parse(second.stdout) as EvalReport).perKind).toEqual(report.perKind);
    expect(rowsOf(file)).toEqual(rows);
  });

  test('takes no rows of a model that was trained anew, or asked without images', async () => {
    const file = join(folder.path, 'stale.jsonl');
    await evaluate('--limit', '2', '--output', file);
    expect(rowsOf(file)).toHaveLength(2);
    const textOnly = await evaluate('--limit', '2', '--output', file, '--text-only');
    expect(textOnly).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/expected rows of .* without images, got/),
    });
    utimesSync(join(model, 'config.json'), 0, 0);
    expect(await evaluate('--limit', '2', '--output', file)).toMatchObject({ code: 2 });
  });

  test('asks without images', async () => {
    const file = join(folder.path, 'text-only.jsonl');
    expect((await evaluate('--text-only', '--output', file)).code).toBe(0);
    expect(rowsOf(file)[0]).toMatchObject({ question: 'what is the red shape?' });
  });

  test('shows a bar on a terminal', async () => {
    const args = ['eval', model, '--task', 'easy-vqa', '--data', DATA, '--threads', '1', '--limit', '3'];
    expect((await run(args, true)).stderr).toMatch(/easy-vqa █+ 3\/3 · .* correct\n$/);
  });

  test.each([
    [['--task', 'easy-vqa'], /expected the path of its data \(--data\), got none/],
    [['--task', 'easy'], /did you mean easy-vqa\?\), got easy/],
    [['--task', 'easy-vqa', '--data', DATA, '--limit', '0'], /--limit: expected an integer of at least 1, got 0/],
    [['--task', 'easy-vqa', '--data', '/no/such/place'], /got \/no\/such\/place, which is missing/],
    [[], /--task/],
    [['--task', 'emoji', '--limt', '1'], /expected a known option, got --limt \(did you mean --limit\?\)/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await run(['eval', model, ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.split('\n')).toHaveLength(2);
  });
});
