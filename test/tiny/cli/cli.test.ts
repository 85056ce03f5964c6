/** @file The command line, run within the test: what it prints where, and its exit codes. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/app/cli/run-cli.ts';
import { Llava } from '../../../src/engine/index.ts';
import { temporaryFolder, writeTinyModel } from '../engine/tiny-model.ts';
import { runCommand as run, sink } from './run-command.ts';

const IMAGE = join(import.meta.dirname, '../../golden/processor-image/files/rgb.jpg');
const folder = temporaryFolder();
const model = ['--model', folder.path, '--threads', '1', '--max-tokens', '12'];
let answer: string;

beforeAll(async () => {
  await writeTinyModel(folder.path);
  await using llava = await Llava.load(folder.path, { threads: 1 });
  answer = await llava.ask('what is this', { image: IMAGE, maxTokens: 12 });
});

afterAll(() => folder[Symbol.dispose]());

describe('ask', () => {
  test('prints the answer and nothing else', async () => {
    const result = await run(['ask', ...model, '--image', IMAGE, 'what is this']);
    expect(result).toMatchObject({ code: 0, stdout: `${answer}\n`, stderr: '' });
    expect(result.pieces).toHaveLength(1);
  });

  test('streams on a terminal', async () => {
    const result = await run(['ask', ...model, '--image', IMAGE, 'what is this'], { isTTY: true });
    expect(result.stdout).toBe(`${answer}\n`);
    expect(result.pieces.length).toBeGreaterThan(3);
  });

  test('--json tells answer, end, tokens, times and model', async () => {
    const { stdout, code } = await run(['ask', ...model, '--image', IMAGE, '--json', 'what is this']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      answer,
      finishReason: 'length',
      usage: { promptTokens: expect.any(Number), imageTokens: 9, cachedTokens: 0, completionTokens: 12 },
      timings: { imageMs: expect.any(Number), promptMs: expect.any(Number), completionMs: expect.any(Number) },
      model: expect.stringMatching(/^llava-test-/),
    });
  });

  test('reads an image from stdin', async () => {
    const stdin = Readable.from([readFileSync(IMAGE)]);
    expect((await run(['ask', ...model, '--image', '-', 'what is this'], { stdin })).stdout).toBe(`${answer}\n`);
  });

  test('takes several images, stop texts and sampling', async () => {
    const sampling = ['--temperature', '1', '--seed', '3', '--top-k', '9', '--top-p', '0.9', '--min-p', '0.01'];
    const two = ['--image', IMAGE, '--image', IMAGE];
    const first = await run(['ask', ...model, ...two, ...sampling, '--repetition-penalty', '1.1', 'what']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(await run(['ask', ...model, ...two, ...sampling, '--repetition-penalty', '1.1', 'what'])).toEqual(first);
    const stop = answer.slice(4, 6);
    const stopped = await run(['ask', ...model, '--image', IMAGE, '--stop', 'zzz', '--stop', stop, 'what is this']);
    expect(stopped.stdout).toBe(`${answer.slice(0, answer.indexOf(stop)).trim()}\n`);
  });

  test('Ctrl-C ends it with 130 and silence', async () => {
    const controller = new AbortController();
    const waiting = run(['ask', ...model, '--image', '-', 'what'], {
      stdin: new PassThrough(),
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 30);
    expect(await waiting).toMatchObject({ code: 130, stdout: '', stderr: '' });
  });
});

describe('mistakes: one line, exit code 2', () => {
  test.each<[string[], string | RegExp]>([
    [['ask', '--imag', 'x', 'what'], 'ask: expected a known option, got --imag (did you mean --image?)'],
    [['ask', '--zzz', 'what'], /^ask: expected a known option, got --zzz \(did you mean --/],
    [['ask'], "ask: missing required argument 'question'; see llava ask --help"],
    [['ask', 'what', 'else'], /^ask: too many arguments/],
    [['ask', '--image'], /^ask: option '--image <file>' argument missing/],
    [['ask', '--temperature', 'hot', 'what'], 'option --temperature: expected a number, got "hot"'],
    [
      ['ask', '--temperature', '-1', 'what', '--model', 'MODEL'],
      /^option temperature: expected a number of at least 0/,
    ],
    [
      ['ask', '--template', 'v11', 'what', '--model', 'MODEL'],
      /^template: expected a known name \(did you mean v1\?\)/,
    ],
    [['ask', '--image', 'no.jpg', 'what', '--model', 'MODEL'], /^image no.jpg: expected a readable file, got no such/],
    [
      ['ask', '--image', '-', '--image', '-', 'x'],
      /^option --image: expected - \(stdin\) at most once, got it 2 times/,
    ],
    [['ask', '--image', IMAGE, '--max-pixels', '9', 'what', '--model', 'MODEL'], /at most 9 pixels/],
    [['ask', '--image', IMAGE, '<image> <image>', '--model', 'MODEL'], /got 2 marks and 1 images/],
    [['ask', '--model', 'no/such/model', 'what'], /no\/such\/model\/config.json: expected a model's configuration/],
    [['ask', '--device', 'dml', 'what', '--model', 'MODEL'], /^option device: expected .*got dml \(it needs Windows/],
    [['info'], 'info: expected a model, or --devices, got neither'],
    [['info', 'no/such/model'], /no\/such\/model\/config.json: expected/],
    [['aks', 'what'], 'expected a known command, got aks (did you mean ask?)'],
    [[], /^expected a command \(ask, chat, .*\), got none; see llava --help/],
    [['--verson'], /^expected a known option, got --verson \(did you mean --version\?\)/],
  ])('%j', async (argv, message) => {
    const result = await run(argv.map(argument => (argument === 'MODEL' ? folder.path : argument)));
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/^llava: [^\n]+\n$/);
    const said = result.stderr.slice('llava: '.length, -1);
    if (typeof message === 'string') expect(said).toBe(message);
    else expect(said).toMatch(message);
  });
});

function fail(): never {
  throw new TypeError('cannot happen');
}

test('a bug of ours: exit code 70, its stack and a request to report it', async () => {
  const broken = sink(false);
  const stdout = Object.assign(new Writable(), { isTTY: false, write: () => fail() });
  const io = { stdin: Readable.from([]), stdout, stderr: broken.stream, signal: new AbortController().signal };
  expect(await runCli(['ask', ...model, 'what'], io)).toBe(70);
  expect(broken.pieces.join('')).toMatch(/^llava: this is a bug .*report.*\nTypeError: .*\n +at /);
});

describe('help', () => {
  test('lists the commands', async () => {
    const { code, stdout, stderr } = await run(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const name of ['ask', 'chat', 'info']) expect(stdout).toMatch(new RegExp(`^  ${name} +\\w`, 'm'));
    expect(stdout).toContain('llava ask --image photo.jpg');
  });

  test('of a command names its options with units and defaults', async () => {
    const { code, stdout } = await run(['ask', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--max-tokens <number> +longest answer, tokens \(default: 512\)/);
    expect(stdout).toMatch(/--model <name> +a folder, a \.gguf file, or org\/name/);
    expect(stdout).toContain('default: the demo');
  });

  test('--version', async () => {
    const version = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')).version;
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe('info', () => {
  test('as a table', async () => {
    const { code, stdout } = await run(['info', folder.path]);
    expect(code).toBe(0);
    const label = (text: string) => new RegExp(`^${text}  +(.*)$`, 'm').exec(stdout)?.[1];
    expect(label('decoder')).toBe('Llama, 2 layers, width 64, MLP 96, 4 heads (2 key/value), vocabulary 320');
    expect(label('tower')).toMatch(/^CLIP ViT, 2 layers, width 32, .* image 24 px, patch 8 px$/);
    expect(label('language model')).toMatch(/^[\d,]+ parameters, \d+ kB, f32$/);
    expect(label('context')).toBe('640 tokens');
    expect(label('image')).toBe('9 tokens');
    expect(label('template')).toBe('v1');
    expect(label('memory')).toMatch(/at full context:$/);
  });

  test('as JSON', async () => {
    const { stdout } = await run(['info', '--json', folder.path]);
    expect(JSON.parse(stdout)).toMatchObject({ contextLength: 640, tokensPerImage: 9, problems: [] });
  });

  test('keys and values in f16 take half the memory', async () => {
    const cache = async (...options: string[]): Promise<number> =>
      JSON.parse((await run(['info', '--json', folder.path, ...options])).stdout).memory.cache;
    expect(await cache('--kv', 'f16')).toBe((await cache()) / 2);
  });

  test('devices', async () => {
    const { code, stdout } = await run(['info', '--devices']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cpu {5}works\ncuda {4}\S.*\nwebgpu {2}\S.*\ncoreml {2}\S.*\ndml {5}\S.*\n$/);
  });
});

describe('chat', () => {
  const lines = (...texts: string[]) => ({ stdin: Readable.from(texts.map(text => `${text}\n`)) });

  test('answers line after line, the image in the first question', async () => {
    const { code, stdout, stderr } = await run(
      ['chat', ...model, '--image', IMAGE],
      lines('what is this', '', 'and the dog', '/exit', 'never'),
    );
    expect([code, stderr]).toEqual([0, '']);
    const said = stdout.split('\n');
    expect(said[0]).toBe(answer);
    expect(said).toHaveLength(3);
  });

  test('/image, /clear, /help, and mistakes that do not end it', async () => {
    const { code, stdout, stderr } = await run(
      ['chat', ...model],
      lines(
        ...['/imag x', '/image', '/image no.jpg', `/image ${IMAGE}`, 'what is this', '/clear'],
        ...[`/image ${IMAGE}`, 'what is this', '/help'],
      ),
    );
    expect(code).toBe(0);
    expect(stderr.split('\n')).toEqual([
      'llava: chat: expected a known command, got /imag (did you mean /image?)',
      'llava: /image: expected the name of a file, got none',
      expect.stringMatching(/^llava: image no.jpg: expected a readable file/),
      '',
    ]);
    const [first, second, ...help] = stdout.split('\n');
    expect(first).toBe(answer);
    expect(second).toBe(answer);
    expect(help.join('\n')).toContain('/clear');
  });
});
