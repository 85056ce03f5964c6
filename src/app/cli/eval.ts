/** @file `llava eval`: asks a model the questions of a test and counts the correct answers. */

import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { Llava } from '../../engine/index.ts';
import type { EvalQuestion, EvalReport, EvalRow, RowFile, Tally } from '../../eval/index.ts';
import type { Io } from './commands.ts';
import { loadLlava, MODEL_NAME, modelFolder } from './model-name.ts';
import {
  deviceOption,
  kvOption,
  loadOptions,
  type ModelValues,
  parseNumber,
  precisionOption,
  quantOption,
} from './options.ts';
import { ProgressBar } from './progress.ts';

interface EvalValues extends Pick<ModelValues, 'quant' | 'kv' | 'device' | 'precision' | 'threads' | 'template'> {
  readonly task: string;
  readonly data?: string;
  readonly limit?: number;
  readonly textOnly?: boolean;
  readonly json?: boolean;
  readonly output?: string;
}

export function define(command: Command, io: Io): void {
  command
    .argument('<model>', MODEL_NAME)
    .requiredOption('--task <name>', 'the test: easy-vqa or emoji')
    .option('--data <path>', 'folder or archive of the data, for tests that are not fetched (easy-vqa)')
    .addOption(numberOption('--limit', 'ask only so many questions, spread over the test'))
    .option('--text-only', 'leave the images out: what can be guessed from the questions alone')
    .option('--json', 'print an object')
    .option('--output <file>', 'write one row a question (JSON Lines); an existing file is continued')
    .option('--template <name>', "conversation template or .jinja file (default: the model's own)")
    .addOption(quantOption())
    .addOption(kvOption())
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(numberOption('--threads', 'threads of the computation (default: all cores)'))
    .action((model: string, values: EvalValues) => evalModel(model, values, io));
}

function numberOption(name: string, description: string): Option {
  return new Option(`${name} <number>`, description).argParser(parseNumber(name));
}

async function evalModel(name: string, values: EvalValues, io: Io): Promise<void> {
  const folder = await modelFolder(name, io);
  const { RowFile } = await import('../../eval/index.ts');
  const questions = await chosenQuestions(folder, values, io);
  await using model = await loadLlava(folder, loadOptions({ ...values, model: folder }, io.signal), io);
  using rows = values.output === undefined ? undefined : new RowFile(values.output, runName(folder, values));
  const started = performance.now();
  const report = await askAll(model, questions, rows, values, io);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  io.stdout.write(`${await format(report, { model: name, seconds, ...values })}\n`);
}

async function chosenQuestions(folder: string, { task, data, limit }: EvalValues, io: Io) {
  const { describeModel } = await import('../../engine/index.ts');
  const { openTask, spread } = await import('../../eval/index.ts');
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    throw new LlavaError(`option --limit: expected an integer of at least 1, got ${limit}`);
  }
  const { config } = describeModel(folder);
  const size = config.modelType === 'llava' ? { imageSize: config.vision.imageSize } : {};
  const questions = await openTask(task, { data, ...size, signal: io.signal });
  return limit === undefined ? questions : spread(questions, limit);
}

/** Asks, with a bar on a terminal. */
async function askAll(
  model: Llava,
  questions: readonly EvalQuestion[],
  rows: RowFile | undefined,
  { task, textOnly = false }: EvalValues,
  { stderr, signal }: Io,
): Promise<EvalReport> {
  const { evaluate, formatShare, llavaModel, Tally } = await import('../../eval/index.ts');
  const known = rows?.known ?? new Map<string, EvalRow>();
  const reused = questions.filter(({ id }) => known.has(id)).length;
  if (reused > 0) stderr.write(`${reused} of ${questions.length} questions were answered before\n`);
  using bar = new ProgressBar(stderr, task, questions.length, reused);
  const tally: Tally = new Tally();
  let count = 0;
  const onRow = (row: EvalRow) => {
    rows?.add(row);
    tally.add(row);
    bar.update(++count, `· ${formatShare(tally.report().overall)} correct`);
  };
  return await evaluate(llavaModel(model), questions, { textOnly, known, onRow, signal });
}

/** What a row of `--output` must agree in to be used again: the model as it stands on disk, the task, the way of asking. */
function runName(folder: string, { task, textOnly = false, template, quant }: EvalValues): string {
  const saved = statSync(join(folder, 'config.json')).mtime.toISOString();
  const how = [
    textOnly ? ', without images' : '',
    template === undefined ? '' : `, template ${template}`,
    quant ? `, ${quant}` : '',
  ];
  return `${task} by ${resolve(folder)} of ${saved}${how.join('')}`;
}

async function format(
  report: EvalReport,
  { json, model, task, textOnly = false, seconds }: EvalValues & { model: string; seconds: number },
): Promise<string> {
  const { formatReport } = await import('../../eval/index.ts');
  return json ? JSON.stringify({ task, model, textOnly, seconds, ...report }, null, 2) : formatReport(report);
}
