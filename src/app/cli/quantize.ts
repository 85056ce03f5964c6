/** @file `llava quantize`: writes a model with its linear layers in whole numbers, and tells what that has cost. */

import { readFile, writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { QuantizeResult, SampleOptions } from '../../engine/index.ts';
import type { Comparison } from '../../eval/index.ts';
import {
  formatQuantization,
  type JsonObject,
  namedPlan,
  PLAN_NAMES,
  type PlanName,
  parseQuantization,
  planName,
  type Quantization,
} from '../../models/index.ts';
import type { Io } from './commands.ts';
import { MODEL_NAME, modelFolder } from './model-name.ts';
import { collect, mmprojOption, parseNumber } from './options.ts';
import { ProgressBar } from './progress.ts';
import { formatQuantizeReport } from './quantize-report.ts';

interface QuantizeValues {
  readonly format: PlanName;
  readonly plan?: string;
  readonly finer: number;
  readonly savePlan?: string;
  readonly calibrate?: readonly string[] | false;
  readonly report?: string;
  readonly text?: string;
  readonly questions?: string;
  readonly mmproj?: string;
}

const HELP = `
Forms: float and f16 (not rounded), w8a8, w8a16, w16a16 (whole numbers by output), int8, int4 (by blocks of 32 inputs).
Plans: mixed8 (w8a8, and w8a16 where activations have outliers), mixed4 (int4 for half of the language model, the rest w8a16).

Calibration keeps what rounding loses small: the model reads a few pages, and a LLaVA two drawn pictures; layers in w8a8 and int4
are scaled by what they then read, and all of 8 and 4 bits are rounded so that each weight makes up for the errors of those before
it (GPTQ). --calibrate gives other texts (.txt, .md) and pictures; several times.

--report compares the copy with the original: relative error of each layer's outputs, perplexity and likeliest tokens of a
text, answers. The text and the questions that are built in need no download.`;

/** Tokens of the text that are compared, at most. */
const COMPARED_TOKENS = 4096;

export function define(command: Command, io: Io): void {
  command
    .argument('<source>', `float weights: ${MODEL_NAME}`)
    .argument('<target>', 'new folder')
    .addOption(new Option('--format <form>', 'form of the linear layers').choices(PLAN_NAMES).default('w8a8'))
    .option('--plan <file>', 'JSON: {"format": …, "exceptions": {"language_model.model.layers.0.*": "w8a16"}}')
    .addOption(
      new Option('--finer <part>', 'part of the weights kept in w8a16: the layers that lose most')
        .argParser(parseNumber('--finer'))
        .default(0),
    )
    .option('--save-plan <file>', 'write the plan, with the layers that --finer has chosen')
    .option('--calibrate <file>', 'text or picture to calibrate with (default: built in)', collect)
    .option('--no-calibrate', 'round the weights by themselves')
    .option('--report <file>', 'compare the copy with the original: a table, and all of it as JSON into this file')
    .option('--text <file>', 'text of the comparison (default: built in)')
    .option('--questions <file>', 'rows with a question, and an image where there is one (default: built in)')
    .addOption(mmprojOption())
    .addHelpText('after', HELP)
    .action((source: string, target: string, values: QuantizeValues) => quantize(source, target, values, io));
}

async function quantize(name: string, target: string, values: QuantizeValues, io: Io): Promise<void> {
  const { quantizeModel } = await import('../../engine/index.ts');
  const quantization = await planOf(values);
  const calibration = await calibrationOf(values);
  const source = await modelFolder(name, io);
  using bars = new Bars(io);
  const result = await quantizeModel(source, target, {
    quantization,
    finer: values.finer,
    ...(calibration !== undefined && { calibration }),
    ...(values.mmproj !== undefined && { files: { mmproj: values.mmproj } }),
    onCalibration: (done, total) => bars.update('calibrate', done, total),
    onProgress: (done, total) => bars.update(`quantize to ${planName(quantization)}`, done, total),
    signal: io.signal,
  });
  if (values.savePlan !== undefined) await writeJson(values.savePlan, formatQuantization(result.quantization));
  if (values.report !== undefined) await report(values.report, source, target, result, values, io, bars);
}

async function planOf({ format, plan }: QuantizeValues): Promise<Quantization> {
  if (plan === undefined) return namedPlan(format);
  const { readJson } = await import('../../weights/index.ts');
  return parseQuantization(
    { ...formatQuantization(namedPlan(format)), ...(readJson(plan, 'a quantisation plan') as JsonObject) },
    plan,
  );
}

/** Undefined: as the library does by itself. A report tells the layers' errors, which calibration measures. */
async function calibrationOf({
  calibrate,
  report: wanted,
}: QuantizeValues): Promise<SampleOptions | false | undefined> {
  if (calibrate === false) return false;
  if (calibrate === undefined) return wanted === undefined ? undefined : {};
  const isText = (file: string): boolean => /\.(txt|md)$/i.test(file);
  const texts = await Promise.all(calibrate.filter(isText).map(readText));
  const images = calibrate.filter(file => !isText(file));
  return { ...(texts.length > 0 && { text: texts.join('\n\n') }), ...(images.length > 0 && { images }) };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new LlavaError(`${file}: expected a readable text, got ${(error as Error).message}`);
  }
}

async function report(
  file: string,
  source: string,
  target: string,
  { formats, errors, quantization }: QuantizeResult,
  values: QuantizeValues,
  io: Io,
  bars: Bars,
): Promise<void> {
  const comparison = await compare(source, target, values, io, bars);
  const layers = Array.from(formats, ([path, format]) => ({ path, format, error: errors.get(path) }));
  await writeJson(file, { source, target, plan: formatQuantization(quantization), layers, ...comparison });
  io.stdout.write(`${formatQuantizeReport(layers, comparison)}\n`);
}

async function compare(
  source: string,
  target: string,
  { text, questions: file, mmproj }: QuantizeValues,
  { signal }: Io,
  bars: Bars,
): Promise<Comparison> {
  const { drawnPicture, Llava, openModelFolder } = await import('../../engine/index.ts');
  const { COMPARED_TEXT, comparedQuestions, compareModels, readQuestions } = await import('../../eval/index.ts');
  const load = async (name: string, more: { mmproj?: string } = {}) => await Llava.load(name, { ...more, signal });
  const original = () => load(source, mmproj === undefined ? {} : { mmproj });
  const sees = openModelFolder(target).config.modelType === 'llava';
  const questions = file === undefined ? comparedQuestions(sees ? [drawnPicture(3)] : []) : await readQuestions(file);
  const compared = text === undefined ? COMPARED_TEXT : await readText(text);
  const total = 2 * (Math.min(COMPARED_TOKENS, Math.ceil(compared.length / 4)) + questions.length);
  let done = 0;
  return await compareModels({
    load: [original, () => load(target)],
    text: compared,
    maxTokens: COMPARED_TOKENS,
    questions,
    onStep: () => bars.update('compare', Math.min(++done, total), total),
    signal,
  });
}

async function writeJson(file: string, json: object): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(json, null, 2)}\n`);
  } catch (error) {
    throw new LlavaError(`${file}: expected a file that can be written, got ${(error as Error).message}`);
  }
}

/** One bar after another, each on a line of its own. */
class Bars implements Disposable {
  readonly #io: Io;
  #label = '';
  #bar: ProgressBar | undefined;

  constructor(io: Io) {
    this.#io = io;
  }

  update(label: string, done: number, total: number): void {
    if (label !== this.#label) {
      this[Symbol.dispose]();
      this.#bar = new ProgressBar(this.#io.stderr, label, total);
      this.#label = label;
    }
    this.#bar!.update(done);
  }

  [Symbol.dispose](): void {
    this.#bar?.[Symbol.dispose]();
    this.#bar = undefined;
  }
}
