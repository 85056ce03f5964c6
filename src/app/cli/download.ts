/** @file `llava download`: a model of the Hub into the cache, and the folder's name on stdout. */

import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { Io } from './commands.ts';
import { modelFolder } from './model-name.ts';

export function define(command: Command, io: Io): void {
  command
    .argument('<model>', 'org/name or org/name@revision')
    .addHelpText('after', '\nStopped at any moment, the same command goes on where it was.')
    .action((model: string) => download(model, io));
}

async function download(name: string, io: Io): Promise<void> {
  const folder = await modelFolder(name, io);
  if (folder === name && !existsSync(name)) {
    throw new LlavaError(`${name}: expected org/name or org/name@revision of the Hub, got a path where nothing is`);
  }
  io.stdout.write(`${folder}\n`);
}
