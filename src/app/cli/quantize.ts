/** @file `llava quantize`: writes a model with its linear layers in whole numbers. */

import { type Command, Option } from 'commander';
import {
  type JsonObject,
  parseQuantization,
  type Quantization,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../models/index.ts';
import type { Io } from './commands.ts';
import { MODEL_NAME, modelFolder } from './model-name.ts';
import { ProgressBar } from './progress.ts';

interface QuantizeValues {
  readonly format: WeightFormat;
  readonly plan?: string;
}

export function define(command: Command, io: Io): void {
  command.argument('<source>', `float weights: ${MODEL_NAME}`);
  command.argument('<target>', 'new folder');
  command.addOption(new Option('--format <form>', 'form of the linear layers').choices(WEIGHT_FORMATS).default('w8a8'));
  command.option('--plan <file>', 'JSON: {"format": …, "exceptions": {"language_model.model.layers.0.*": "w8a16"}}');
  command.action((source: string, target: string, values: QuantizeValues) => quantize(source, target, values, io));
}

async function quantize(source: string, target: string, values: QuantizeValues, io: Io): Promise<void> {
  const { quantizeModel } = await import('../../engine/index.ts');
  let bar: ProgressBar | undefined;
  const onProgress = (done: number, total: number): void => {
    bar ??= new ProgressBar(io.stderr, `quantize to ${values.format}`, total);
    bar.update(done);
  };
  try {
    await quantizeModel(await modelFolder(source, io), target, {
      quantization: await planOf(values),
      onProgress,
      signal: io.signal,
    });
  } finally {
    bar?.[Symbol.dispose]();
  }
}

async function planOf({ format, plan }: QuantizeValues): Promise<Quantization> {
  if (plan === undefined) return { format, exceptions: [] };
  const { readJson } = await import('../../weights/index.ts');
  return parseQuantization({ format, ...(readJson(plan, 'a quantisation plan') as JsonObject) }, plan);
}
