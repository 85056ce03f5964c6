import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { formatDuration, ProgressBar } from '../../../src/app/cli/progress.ts';

function terminal(isTTY: boolean) {
  const pieces: string[] = [];
  const write = (text: string) => pieces.push(text) > 0;
  return { pieces, stream: Object.assign(new Writable(), { isTTY, write }) };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('draws count, bar, time left and detail on one line, not too often', () => {
  const { pieces, stream } = terminal(true);
  {
    using bar = new ProgressBar(stream, 'stage', 100, 20);
    vi.advanceTimersByTime(3000);
    bar.update(50, '· loss 1.5');
    bar.update(51, 'too soon');
    vi.advanceTimersByTime(5000);
    bar.update(100);
  }
  expect(pieces).toEqual([
    `\r\x1b[Kstage ${'█'.repeat(12)}${'░'.repeat(12)} 50/100 · 5 s left · loss 1.5`,
    `\r\x1b[Kstage ${'█'.repeat(24)} 100/100 · 0 s left`,
    '\n',
  ]);
});

test('prints nothing where there is no terminal', () => {
  const { pieces, stream } = terminal(false);
  {
    using bar = new ProgressBar(stream, 'stage', 10);
    bar.update(10);
  }
  expect(pieces).toEqual([]);
});

test.each([
  [0.4, '0 s'],
  [59.4, '59 s'],
  [60, '1:00'],
  [187, '3:07'],
  [7387, '2:03:07'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
