/** @file The inside of a worker: reads commands from standard input, one at a time, until that ends. */

import { createInterface } from 'node:readline';
import { REPLY_MARK } from './worker.ts';

/** Commands by name, each with what it is given and what it returns, as JSON. */
export type Commands = Readonly<Record<string, (args: never) => Promise<unknown>>>;

export async function serve(commands: Commands): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...args } = JSON.parse(line) as { command: string };
    const reply = await commands[command]!(args as never).then(
      (result = null) => ({ result }),
      (error: Error) => ({ error: error.message }),
    );
    process.stdout.write(`${REPLY_MARK}${JSON.stringify(reply)}\n`);
  }
  process.exit(0);
}

/** Bytes that the process holds in memory, mapped files included. */
export async function memory(): Promise<number> {
  return process.memoryUsage.rss();
}
