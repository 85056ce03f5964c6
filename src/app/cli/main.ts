#!/usr/bin/env node
/** @file The process `llava`: its streams, its signals, its exit code. */

import { runCli } from './run-cli.ts';

const INTERRUPTED = 130;

const controller = new AbortController();
process.on('SIGINT', () => {
  if (controller.signal.aborted) process.exit(INTERRUPTED);
  controller.abort();
});
// A reader such as `head` that has gone wants no more output, and that is no error.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit();
});

const { stdin, stdout, stderr } = process;
process.exitCode = await runCli(process.argv.slice(2), { stdin, stdout, stderr, signal: controller.signal });
// A cancelled run may still be loading a model, which nobody waits for any more.
if (process.exitCode === INTERRUPTED) process.exit();
