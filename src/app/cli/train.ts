/** @file `llava train`: runs a recipe. */

import { type Command, Option } from 'commander';
import type { AverageSpec, Stage, StepRecord } from '../../train/index.ts';
import type { TrainReporter } from '../training/train-command.ts';
import type { Io } from './commands.ts';
import { parseNumber } from './options.ts';
import { ProgressBar } from './progress.ts';

interface TrainValues {
  readonly recipe: string;
  readonly output?: string;
  readonly data?: string;
  readonly threads?: number;
  readonly scale?: number;
}

/** Smoothing of the loss that is shown: each step counts one part in twenty. */
const SMOOTHING = 0.05;

export function define(command: Command, io: Io): void {
  command
    .requiredOption('--recipe <file>', 'what to train, on what, and how (JSON)')
    .option('--output <folder>', 'where stages and logs go (default: runs/<recipe>)')
    .option('--data <path>', 'folder or archive of the data, for recipes that name none')
    .addOption(
      new Option('--threads <number>', 'threads of the computation (default: all cores)').argParser(
        parseNumber('--threads'),
      ),
    )
    .addOption(
      new Option('--scale <number>', 'factor on the steps of every stage, to try a recipe out').argParser(
        parseNumber('--scale'),
      ),
    )
    .addHelpText('after', '\nStopped at any moment, the same command goes on where the last snapshot stands.')
    .action(async (values: TrainValues) => {
      const { train } = await import('../training/train-command.ts');
      const folder = await train({ ...values, signal: io.signal }, new TerminalReporter(io));
      io.stdout.write(`${folder}\n`);
    });
}

/** Shows a line a stage, and on a terminal a bar with loss, tokens/s and time left. */
class TerminalReporter implements TrainReporter {
  readonly #io: Io;
  #bar: ProgressBar | undefined;
  #loss = Number.NaN;
  #speed = Number.NaN;
  #truncated = 0;
  #skipped = 0;

  constructor(io: Io) {
    this.#io = io;
  }

  stageStarted(stage: Stage, startStep: number, { total, trained }: { total: number; trained: number }): void {
    const millions = (count: number) => `${(count / 1e6).toFixed(2)} M`;
    const resumed = startStep > 0 ? `, resumed at step ${startStep}` : '';
    const what = `${stage.kind}, ${stage.steps} steps, ${millions(trained)} of ${millions(total)} parameters trained${resumed}`;
    this.#io.stderr.write(`${stage.name}: ${what}\n`);
    this.#bar = new ProgressBar(this.#io.stderr, stage.name, stage.steps, startStep);
    this.#loss = Number.NaN;
    this.#speed = Number.NaN;
    this.#truncated = 0;
    this.#skipped = 0;
  }

  step(stage: Stage, record: StepRecord): void {
    this.#loss = smooth(this.#loss, record.loss);
    this.#speed = smooth(this.#speed, record.tokens / record.seconds);
    this.#truncated += record.truncated;
    this.#skipped += record.skipped;
    const unit = stage.kind === 'clip' ? 'pairs' : 'tokens';
    this.#bar!.update(record.step, `· loss ${this.#loss.toFixed(3)} · ${Math.round(this.#speed)} ${unit}/s`);
  }

  stageEnded(stage: Stage, folder: string): void {
    this.#bar?.[Symbol.dispose]();
    this.#bar = undefined;
    const loss = Number.isNaN(this.#loss) ? 'done before' : `loss ${this.#loss.toFixed(3)}`;
    this.#io.stderr.write(`${stage.name}: ${loss}, saved in ${folder}\n`);
    const losses = `${this.#truncated} examples were cut to maxLength, ${this.#skipped} left out without a target`;
    if (this.#truncated + this.#skipped > 0) this.#io.stderr.write(`${stage.name}: ${losses}\n`);
    this.#loss = Number.NaN;
  }

  averaged({ name, of }: AverageSpec, folder: string): void {
    this.#io.stderr.write(`${name}: the average of ${of.join(', ')}, saved in ${folder}\n`);
  }
}

function smooth(old: number, next: number): number {
  return Number.isNaN(old) ? next : old + SMOOTHING * (next - old);
}
