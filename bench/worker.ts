/**
 * @file One side of a comparison in a process of its own, which stays up and does what it is told: a line of JSON in, a line
 * of JSON out. So each side has its memory to itself, and any language will do. Times are taken inside.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { LlavaError } from '../src/core/index.ts';
import { projectFolder, pythonCommand } from './project.ts';

/** What a command of a worker returns, or how it failed. */
type Reply = { readonly result: unknown } | { readonly error: string };

/** Lines of a worker's output that are replies begin with this: libraries print to it too. */
export const REPLY_MARK = '@reply ';

const ENDED: Reply = { error: 'expected a reply, got the end of the process' };

/** A running worker. */
export class Worker implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  #isOver = false;

  constructor(name: string, command: string, args: readonly string[]) {
    this.#name = name;
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.on('error', () => {}); // shows as an end without a reply
    this.#process.stdin!.on('error', () => {});
    this.#lines = createInterface({ input: this.#process.stdout! }).once('close', () => {
      this.#isOver = true;
    });
  }

  /** A module of this folder. */
  static node(name: string): Worker {
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    return new Worker(name, process.execPath, [join(import.meta.dirname, `${name}.${extension}`)]);
  }

  /** A script in the folder `scripts`. */
  static python(script: string, args: readonly string[]): Worker {
    return new Worker(script, pythonCommand(), [join(projectFolder(), 'scripts', script), ...args]);
  }

  /** Does one thing. One call at a time. Throws {@link LlavaError} when the worker fails. */
  async call<T>(command: string, args: object = {}): Promise<T> {
    const reply: Promise<Reply> = this.#isOver ? Promise.resolve(ENDED) : this.#reply();
    this.#process.stdin!.write(`${JSON.stringify({ command, ...args })}\n`);
    const answer = await reply;
    if ('result' in answer) return answer.result as T;
    throw new LlavaError(`bench: ${this.#name}, ${command}: ${answer.error}`);
  }

  /** Ends the process and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin!.end();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined) return;
    await new Promise(done => this.#process.once('exit', done));
  }

  #reply(): Promise<Reply> {
    return new Promise(resolve => {
      const settle = (reply: Reply) => {
        this.#lines.off('line', onLine);
        this.#lines.off('close', onClose);
        resolve(reply);
      };
      const onLine = (line: string) => {
        if (line.startsWith(REPLY_MARK)) settle(JSON.parse(line.slice(REPLY_MARK.length)) as Reply);
        else process.stderr.write(`${line}\n`);
      };
      const onClose = () => settle(ENDED);
      this.#lines.on('line', onLine);
      this.#lines.on('close', onClose);
    });
  }
}
