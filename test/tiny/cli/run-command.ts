/** @file Runs a command line within the test. */

import { Readable, Writable } from 'node:stream';
import type { Io } from '../../../src/app/cli/commands.ts';
import { runCli } from '../../../src/app/cli/run-cli.ts';

/** A stream that remembers what was written to it. */
export function sink(isTTY: boolean) {
  const pieces: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      pieces.push(String(chunk));
      done();
    },
  });
  return { pieces, stream: Object.assign(stream, { isTTY }) };
}

interface RunOptions {
  readonly stdin?: NodeJS.ReadableStream;
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
}

/** Exit code, and all that was written. */
export async function runCommand(
  argv: string[],
  { stdin = Readable.from([]), isTTY = false, signal }: RunOptions = {},
) {
  const [stdout, stderr] = [sink(isTTY), sink(isTTY)];
  const io: Io = {
    stdin,
    stdout: stdout.stream,
    stderr: stderr.stream,
    signal: signal ?? new AbortController().signal,
  };
  const code = await runCli(argv, io);
  return { code, stdout: stdout.pieces.join(''), stderr: stderr.pieces.join(''), pieces: stdout.pieces };
}
