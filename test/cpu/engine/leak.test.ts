/** @file Memory stays where it is over many answers, cancelled ones too, and conversations. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { AbortedError } from '../../../src/core/index.ts';
import { Llava } from '../../../src/engine/index.ts';
import { temporaryFolder, tinyImage, writeTinyModel } from '../../tiny/engine/tiny-model.ts';

const ROUNDS = 400;
/** Growth after warming up, bytes. A leaked cache would be 330 kB a round. */
const LIMIT = 24 * 2 ** 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Resident memory without what waits to be collected: 20 MB come and go. */
function residentBytes(): number {
  collectGarbage();
  return process.memoryUsage().rss;
}

test('answers, aborts and conversations leave nothing behind', async () => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path);
  await using model = await Llava.load(folder.path, { threads: 1 });
  const round = async (i: number) => {
    await model.ask('what is this', { image: tinyImage(i % 5), maxTokens: 4 });
    const aborted = model.ask('what is this', { maxTokens: 400, signal: AbortSignal.timeout(2) });
    await aborted.catch(error => expect(error).toBeInstanceOf(AbortedError));
    using chat = model.chat();
    await chat.ask('a cat', { image: tinyImage(1), maxTokens: 2 });
    await chat.ask('a dog', { maxTokens: 2 });
  };
  for (let i = 0; i < ROUNDS; i++) await round(i);
  const before = residentBytes();
  for (let i = 0; i < ROUNDS; i++) await round(i);
  expect(residentBytes() - before).toBeLessThan(LIMIT);
});
