/** @file `llava ask`: one question, one answer, and nothing but the answer on stdout. */

import type { Command } from 'commander';
import type { Answer, AskOptions, Llava } from '../../engine/index.ts';
import { type Io, orAborted } from './commands.ts';
import { checkImages, openImage } from './image-file.ts';
import { loadLlava } from './model-name.ts';
import {
  addGenerationOptions,
  addModelOptions,
  collect,
  type GenerationValues,
  generationOptions,
  loadOptions,
  type ModelValues,
} from './options.ts';

interface AskValues extends ModelValues, GenerationValues {
  readonly image?: readonly string[];
  readonly json?: boolean;
}

export function define(command: Command, io: Io): void {
  command.argument('<question>', 'what to ask; <image> in it marks the place of an image, which else comes first');
  command.option('--image <file>', 'JPEG, PNG, WebP or GIF; - reads stdin; may be given several times', collect);
  addModelOptions(command);
  addGenerationOptions(command);
  command.option('--json', 'print an object with the answer, why it ended, tokens and times');
  command.action((question: string, values: AskValues) => ask(question, values, io));
}

async function ask(question: string, values: AskValues, io: Io): Promise<void> {
  const files = values.image ?? [];
  await checkImages(files, values, io);
  // Loading and decoding go on at once; whichever fails first is the error to show, and Ctrl-C need not wait for them.
  const loading = loadLlava(values.model, loadOptions(values, io.signal), io);
  const decoding = Promise.all(files.map(file => openImage(file, values, io)));
  const [model, images] = await orAborted(Promise.all([loading, decoding]), io.signal);
  const options = { ...generationOptions(values), images, signal: io.signal };
  if (values.json) io.stdout.write(`${formatJson(model, await model.answer(question, options))}\n`);
  else if (io.stdout.isTTY) await stream(model, question, options, io);
  else io.stdout.write(`${await model.ask(question, options)}\n`);
}

async function stream(model: Llava, question: string, options: AskOptions, io: Io): Promise<void> {
  for await (const text of model.stream(question, options)) io.stdout.write(text);
  io.stdout.write('\n');
}

function formatJson(model: Llava, { text, finishReason, usage, timings }: Answer): string {
  const { imageMs, promptMs, completionMs } = timings;
  const rounded = { imageMs: round(imageMs), promptMs: round(promptMs), completionMs: round(completionMs) };
  return JSON.stringify({ answer: text, finishReason, usage, timings: rounded, model: model.name }, null, 2);
}

const round = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;
