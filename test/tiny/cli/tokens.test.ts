/** @file `llava tokens` on a folder without weights. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/app/cli/run-cli.ts';
import { saveTokenizer, trainBpe } from '../../../src/processor/index.ts';
import { temporaryFolder } from '../engine/tiny-model.ts';

const IMAGE = join(import.meta.dirname, '../../golden/processor-image/files/rgb.jpg');
const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());

beforeAll(async () => {
  const trained = trainBpe(['what is in this picture USER ASSISTANT'], {
    vocabSize: 320,
    specialTokens: ['<pad>', '<image>'],
  });
  await saveTokenizer(folder.path, trained);
  const config = {
    model_type: 'llava_next',
    _name_or_path: 'some/next',
    conversation_template: 'v1_brief',
    image_token_index: trained.tokenizer.tokenToId('<image>'),
    image_grid_pinpoints: [
      [336, 672],
      [672, 336],
      [672, 672],
      [1008, 336],
      [336, 1008],
    ],
    vision_config: {
      ...{ hidden_size: 8, intermediate_size: 8, num_hidden_layers: 2, num_attention_heads: 1 },
      ...{ image_size: 336, patch_size: 14 },
    },
    text_config: {
      ...{ hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 },
      ...{ vocab_size: 320, max_position_embeddings: 4096 },
    },
  };
  writeFileSync(join(folder.path, 'config.json'), JSON.stringify(config));
});

async function run(argv: readonly string[], stdin: NodeJS.ReadableStream = Readable.from([])) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await runCli(['tokens', folder.path, ...argv], {
    stdin,
    stdout,
    stderr,
    signal: new AbortController().signal,
  });
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
}

async function json(...argv: string[]) {
  const { stdout, stderr, code } = await run([...argv, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('--json', () => {
  test('one image: its grid, tiles and tokens', async () => {
    const result = await json('--text', 'what is this', '--image-size', '640x480');
    expect(result).toMatchObject({
      ...{ model: 'some/next', template: 'v1_brief', prompt: 'USER: <image>\nwhat is this ASSISTANT:' },
      ...{ imageTokens: 2340, grid: [2, 2], tiles: 5, contextLength: 4096 },
      ...{ promptTokens: result.ids.length, textTokens: result.ids.length - 2340 },
      images: [{ width: 640, height: 480, tokens: 2340, tiles: 5, grid: [2, 2] }],
    });
    const [[start, end]] = result.imageSpans;
    expect([end - start, new Set(result.ids.slice(start, end)).size]).toEqual([2340, 1]);
  });

  test('several images: lists; files go before sizes', async () => {
    const result = await json('--text', 'what', '--image-size', '480x640', '--image', IMAGE);
    expect(result.imageTokens).toEqual([expect.any(Number), 2352]);
    expect(result.grid).toEqual([expect.any(Array), [2, 2]]);
    expect(result.tiles).toHaveLength(2);
    expect(result.prompt).toBe('USER: <image>\n<image>\nwhat ASSISTANT:');
  });

  test('no image; other prompts', async () => {
    const text = ['--text', 'what'];
    expect(await json(...text)).toMatchObject({ imageTokens: 0, grid: null, tiles: 0, imageSpans: [], images: [] });
    const size = ['--image-size', '300x200'];
    const llama = await json(...text, ...size, '--template', 'llava_llama_2', '--system', 'Be brief.');
    expect(llama.prompt).toBe('[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n<image>\nwhat [/INST]');
    expect(llama.imageTokens).toBe(1464);
    expect((await json(...text, ...size, '--compat', 'original')).imageTokens).toBe(976);
  });
});

test('as text: images, context, prompt, and tokens by id and piece', async () => {
  const { stdout } = await run(['--text', 'what is\nthis é', '--image-size', '1024x899', '--image-size', '10x10']);
  const lines = stdout.split('\n');
  expect(lines.slice(0, 4)).toEqual([
    'model     some/next',
    'template  v1_brief',
    expect.stringMatching(
      /^image 1 {3}1024 × 899 px, 5 tiles \(the whole and 2 × 2\), 2,634 tokens from position \d+$/,
    ),
    expect.stringMatching(
      /^image 2 {3}10 × 10 px, 3 tiles \(the whole and [12] × [12]\), 1,176 tokens from position 2,6\d\d$/,
    ),
  ]);
  expect(lines[4]).toMatch(/^context {3}3,8\d\d of 4,096 tokens \(9\d %\)$/);
  expect(lines.slice(6, 11)).toEqual(['prompt', '  USER: <image>', '  <image>', '  what is', '  this é ASSISTANT:']);
  const shown = stdout.slice(stdout.indexOf('\ntokens\n')).replaceAll('\n  ', ' · ');
  expect(shown).toMatch(/· 1 <s> · /);
  expect(shown).toMatch(/ · \[image 1: 2,634 tokens\] · \d+ \S+ · \[image 2: 1,176 tokens\] · /);
  expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(102);
});

test('text from a file and from stdin; a prompt that is too long says by how much', async () => {
  const file = join(folder.path, 'question.txt');
  writeFileSync(file, 'what '.repeat(5000));
  const long = await run(['--text-file', file]);
  expect(long.stdout).toMatch(/^context {3}[\d,]+ of 4,096 tokens \(\d+ %\), [\d,]+ too many$/m);
  const piped = await run(['--text', '-', '--json'], Readable.from([Buffer.from('what is '), Buffer.from('this')]));
  expect(JSON.parse(piped.stdout).prompt).toBe('USER: what is this ASSISTANT:');
});

test.each([
  [[], 'tokens: expected one of --text and --text-file, got neither'],
  [['--text', 'a', '--text-file', 'b'], 'tokens: expected one of --text and --text-file, got both'],
  [['--text-file', 'none.txt'], 'none.txt: expected a readable file, got '],
  [
    ['--text', 'a', '--image-size', '640*480'],
    'option --image-size: expected WIDTHxHEIGHT in pixels, as 640x480, got "640*480"',
  ],
  [['--text', 'a', '--image-size', '0x480'], 'option --image-size: expected WIDTHxHEIGHT'],
  [['--text', 'a', '--image', 'none.png'], 'image none.png: expected a readable file, got no such file'],
  [['--text', '<image>'], 'prompt: expected as many <image> marks as images or none, got 1 marks and 0 images'],
  [['--text', 'a', '--compat', 'mine'], "argument 'mine' is invalid. Allowed choices are original, hf."],
  [['--text', 'a', '--template', 'v11'], 'template: expected a known name (did you mean v1?), got v11'],
  [['--text', 'a', '--template', 'no.jinja'], 'no.jinja: expected a readable file'],
])('%j is refused', async (argv, message) => {
  const { code, stdout, stderr } = await run(argv);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(message);
});
