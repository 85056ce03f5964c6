import { afterEach, describe, expect, test, vi } from 'vitest';
import { chosenParts, parseCommand } from '../../../bench/options.ts';
import { describePython, peerFolder } from '../../../bench/project.ts';
import { Worker } from '../../../bench/worker.ts';

const NAMES = ['llama-cpp', 'bandwidth'];

describe('the command line', () => {
  test('defaults, and all options', () => {
    expect(parseCommand(['bandwidth'], NAMES)).toEqual({
      name: 'bandwidth',
      json: false,
      only: undefined,
      options: { n: 3, layers: undefined, prompts: undefined, isSmoke: false },
      isStandard: true,
    });
    const args = ['llama-cpp', '--json', '--n', '5', '--only', 'a,b', '--layers', '2', '--prompts', '32,64'];
    expect(parseCommand(args, NAMES)).toEqual({
      name: 'llama-cpp',
      json: true,
      only: ['a', 'b'],
      options: { n: 5, layers: 2, prompts: [32, 64], isSmoke: false },
      isStandard: false,
    });
  });

  test('only figures of the standard sizes are kept', () => {
    const isStandard = (...more: string[]) => parseCommand(['bandwidth', ...more], NAMES).isStandard;
    expect([isStandard('--n', '1'), isStandard('--only', 'w8a8')]).toEqual([true, true]);
    const others = [isStandard('--smoke'), isStandard('--layers', '8'), isStandard('--prompts', '640')];
    expect(others).toEqual([false, false, false]);
  });

  test.each([
    [[], 'bench: expected one of llama-cpp, bandwidth, got ""'],
    [['lama'], 'bench: expected one of llama-cpp, bandwidth, got "lama"'],
    [['bandwidth', 'more'], 'bench: expected one of llama-cpp, bandwidth, got "bandwidth more"'],
    [['bandwidth', '--n', '0'], 'bench: option --n: expected a whole number of at least 1, got "0"'],
    [['bandwidth', '--prompts', '64,x'], 'bench: option --prompts: expected a whole number of at least 1, got "x"'],
    [['bandwidth', '--nn', '3'], /^bench: .*--nn/],
  ])('%j is refused', (args, message) => {
    expect(() => parseCommand(args, NAMES)).toThrow(message);
  });

  test('parts are picked by name', () => {
    const parts = ['w8a8/q8_0', 'int4/q4_0'];
    expect(chosenParts({ parts }, undefined)).toEqual(parts);
    expect(chosenParts({ parts }, ['int4/q4_0'])).toEqual(['int4/q4_0']);
    expect(() => chosenParts({ parts }, ['w8a8/q8'])).toThrow(
      'bench: option --only: expected some of w8a8/q8_0, int4/q4_0, got w8a8/q8 (nearest: w8a8/q8_0)',
    );
  });
});

describe('a peer that is not installed', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('says how to install it', async () => {
    const peer = { name: 'no-such-peer', version: '1.2.3', entry: 'index.js' };
    expect(() => peerFolder(peer)).toThrow('npm install --no-save --ignore-scripts no-such-peer@1.2.3');
    vi.stubEnv('LLAVA_BENCH_PYTHON', '/nonexistent/python');
    await expect(describePython(['torch', 'transformers'])).rejects.toThrow(
      'bench: expected torch and transformers in /nonexistent/python, got none: pip install torch transformers',
    );
  });
});

const ECHO = `
  require('readline').createInterface({ input: process.stdin }).on('line', line => {
    const { command, ...args } = JSON.parse(line);
    if (command === 'die') process.exit(3);
    console.log('a library says hello');
    console.log('@reply ' + JSON.stringify(command === 'fail' ? { error: 'no' } : { result: args }));
  });
`;

describe('a worker', () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);

  test('answers calls, fails calls, and may print what it likes', async () => {
    await using worker = new Worker('echo', process.execPath, ['-e', ECHO]);
    expect(await worker.call('say', { ids: [1, 2] })).toEqual({ ids: [1, 2] });
    await expect(worker.call('fail')).rejects.toThrow('bench: echo, fail: no');
    expect(await worker.call('say', { more: true })).toEqual({ more: true });
  });

  test('that dies fails the call under way and those after it', async () => {
    await using worker = new Worker('echo', process.execPath, ['-e', ECHO]);
    const message = 'expected a reply, got the end of the process';
    await expect(worker.call('die')).rejects.toThrow(message);
    await expect(worker.call('say')).rejects.toThrow(message);
  });

  test('that cannot be started fails its call', async () => {
    await using worker = new Worker('none', '/nonexistent/command', []);
    await expect(worker.call('say')).rejects.toThrow('expected a reply');
  });
});
