/** @file The tests by name. A new one is one line here. */

import { LlavaError, nearestName } from '../core/index.ts';
import { easyVqaQuestions, emojiTest, openEasyVqa } from '../data/index.ts';
import type { EvalQuestion } from './question.ts';

/** What a test is made from. */
export interface TaskOptions {
  /** Path of the data, for tests that are not fetched. */
  readonly data?: string | undefined;
  /** Side in pixels of images that are drawn for the test. Default: the test's own. */
  readonly imageSize?: number;
  readonly signal?: AbortSignal;
}

type OpenTask = (options: TaskOptions) => Promise<readonly EvalQuestion[]>;

const TASKS: Readonly<Record<string, OpenTask>> = {
  'easy-vqa': async ({ data }) => easyVqaQuestions(await openEasyVqa(given(data, 'easy-vqa'), 'test')),
  emoji: ({ imageSize, signal }) => emojiTest({ ...(imageSize && { imageSize }), ...(signal && { signal }) }),
};

/** Names of all tests. */
export const TASK_NAMES: readonly string[] = Object.keys(TASKS);

/** The questions of a test. Throws {@link LlavaError} naming the nearest known one. */
export function openTask(name: string, options: TaskOptions = {}): Promise<readonly EvalQuestion[]> {
  const open = TASKS[name];
  if (open) return open(options);
  const nearest = nearestName(name, TASK_NAMES);
  throw new LlavaError(`task: expected one of ${TASK_NAMES.join(', ')} (did you mean ${nearest}?), got ${name}`);
}

function given(data: string | undefined, task: string): string {
  if (data !== undefined) return data;
  throw new LlavaError(`task ${task}: expected the path of its data (--data), got none`);
}
