/** @file The list of commands. Each is loaded only when it is called, so that `llava --help` shows at once. */

import type { Command } from 'commander';
import { AbortedError } from '../../core/index.ts';

/** What a command uses of the process. */
export interface Io {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Fires on the first Ctrl-C. */
  readonly signal: AbortSignal;
}

/** A command's module. Heavy imports belong into its action. */
export interface CommandModule {
  /** Adds arguments, options and the action to `command`, which has its name and summary already. */
  define(command: Command, io: Io): void;
}

/** A command's line in the help, and how to load it. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

export const COMMANDS: readonly CommandEntry[] = [
  { name: 'ask', summary: 'answer one question about images', load: () => import('./ask.ts') },
  { name: 'chat', summary: 'talk with a model in the terminal', load: () => import('./chat.ts') },
  { name: 'train', summary: 'train a model by a recipe', load: () => import('./train.ts') },
  { name: 'eval', summary: 'measure how well a model answers', load: () => import('./eval.ts') },
  { name: 'bench', summary: 'measure how fast a model is here', load: () => import('./bench.ts') },
  { name: 'convert', summary: 'write a model in another layout', load: () => import('./convert.ts') },
  { name: 'quantize', summary: 'write a model with smaller, faster weights', load: () => import('./quantize.ts') },
  { name: 'tokens', summary: 'show prompt and tokens of a question', load: () => import('./tokens.ts') },
  { name: 'download', summary: 'fetch a model from the Hub', load: () => import('./download.ts') },
  { name: 'info', summary: 'show what a model is and what it needs', load: () => import('./info.ts') },
];

/** The promise's result, or an {@link AbortedError} as soon as `signal` fires. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new AbortedError('interrupted'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
