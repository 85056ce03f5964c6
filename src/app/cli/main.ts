#!/usr/bin/env node
/** @file The process `llava`: its streams, its signals, its exit code. */

import { runCli } from './run-cli.ts';

const controller = new AbortController();
// Only the first: the second Ctrl-C ends the process whatever it does.
process.once('SIGINT', () => controller.abort());
// A reader such as `head` that has gone wants no more output, and that is no error.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit();
});

const { stdin, stdout, stderr } = process;
process.exitCode = await runCli(process.argv.slice(2), { stdin, stdout, stderr, signal: controller.signal });
// After a failure a model may still be loading, which nobody waits for any more.
if (process.exitCode !== 0) process.exit();
