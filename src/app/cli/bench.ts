/** @file `llava bench`: how fast a model is on this machine, as a table, as JSON, as a picture. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { cacheFolder, LlavaError } from '../../core/index.ts';
import type { Benchmark, BenchmarkOptions, QuantChoice } from '../../engine/index.ts';
import { type JsonObject, namedPlan } from '../../models/index.ts';
import { benchmarkSvg } from './bench-svg.ts';
import type { Io } from './commands.ts';
import { modelFolder } from './model-name.ts';
import { addModelOptions, DEMO_MODEL, loadOptions, type ModelValues, parseNumber } from './options.ts';

interface BenchValues extends ModelValues {
  readonly synthetic?: string;
  readonly prompts?: readonly number[];
  readonly decode?: number;
  readonly repeats?: number;
  readonly imageSize?: { readonly width: number; readonly height: number };
  readonly json?: boolean;
  readonly svg?: string;
}

export function define(command: Command, io: Io): void {
  addModelOptions(command);
  command
    .option('--synthetic <config>', 'measure random weights of the shapes of this config.json; kept in the cache')
    .option('--prompts <list>', 'lengths of the prompts, tokens (default: 64,256,640)', parseLengths)
    .option('--decode <number>', 'tokens written after each prompt (default: 16)', parseNumber('--decode'))
    .option('--repeats <number>', 'runs that count, after one that does not (default: 3)', parseNumber('--repeats'))
    .addOption(new Option('--image-size <size>', 'size of the picture (default: 672x672)').argParser(parseSize))
    .option('--json', 'print an object')
    .option('--svg <file>', 'draw the figures too');
  command.action((values: BenchValues) => bench(values, io));
}

/** Throws a {@link LlavaError} on anything but whole numbers with commas between. */
function parseLengths(text: string): number[] {
  const lengths = text.split(',').map(Number);
  if (lengths.every(length => Number.isInteger(length) && length > 0)) return lengths;
  throw new LlavaError(`option --prompts: expected lengths such as 64,256, got ${JSON.stringify(text)}`);
}

function parseSize(text: string): { width: number; height: number } {
  const [, width, height] = /^([1-9]\d{0,5})x([1-9]\d{0,5})$/.exec(text) ?? [];
  if (width && height) return { width: Number(width), height: Number(height) };
  throw new LlavaError(`option --image-size: expected a size such as 640x480, got ${JSON.stringify(text)}`);
}

async function bench(values: BenchValues, io: Io): Promise<void> {
  const { benchmark, loadModel } = await import('../../engine/index.ts');
  const folder = values.synthetic
    ? await syntheticFolder(values.synthetic, values.quant)
    : await modelFolder(values.model, io);
  const { prompts, decode, repeats, imageSize } = values;
  const options: BenchmarkOptions = {
    signal: io.signal,
    ...(prompts && { promptTokens: prompts }),
    ...(decode !== undefined && { decodeTokens: decode }),
    ...(repeats !== undefined && { repeats }),
    ...(imageSize && { image: imageSize }),
  };
  const { quant, ...load } = loadOptions(values, io.signal);
  const figures = await benchmark(
    () => loadModel(folder, { ...load, ...(quant && !values.synthetic && { quant }) }),
    options,
  );
  if (values.svg) writeFileSync(values.svg, benchmarkSvg(figures));
  io.stdout.write(`${values.json ? JSON.stringify(figures, null, 2) : formatTable(figures)}\n`);
}

/** The folder of random weights for a configuration file, made the first time. */
async function syntheticFolder(file: string, choice: QuantChoice = 'float'): Promise<string> {
  const { createHash } = await import('node:crypto');
  const { suitableFormat, writeSyntheticModel } = await import('../../engine/index.ts');
  const plan = choice === 'auto' ? await suitableFormat() : choice;
  const { readJson } = await import('../../weights/index.ts');
  const json = readJson(file, "a model's configuration") as JsonObject;
  const key = createHash('sha256')
    .update(JSON.stringify([json, plan]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder(), 'synthetic', `${plan}-${key}`);
  if (!existsSync(join(folder, 'config.json'))) {
    await writeSyntheticModel(json, folder, { quantization: namedPlan(plan), tokenizer: DEMO_MODEL });
  }
  return folder;
}

function formatTable({ model, loadMs, vision, prefill, decode, firstTokenMs, peakBytes }: Benchmark): string {
  const rows: [string, string][] = [
    ['model', model],
    ['load', `${formatMs(loadMs)}`],
    ...(vision
      ? [['image', `${formatMs(vision.ms)} (${vision.tiles} tiles, ${vision.tokens} tokens)`] as [string, string]]
      : []),
    ...prefill.map(({ tokens, ms, tokensPerSecond }): [string, string] => [
      `read ${tokens} tokens`,
      `${formatMs(ms)}, ${tokensPerSecond.toFixed(0)} tokens/s`,
    ]),
    ...decode.map(({ past, ms, tokensPerSecond }): [string, string] => [
      `write after ${past}`,
      `${formatMs(ms)} a token, ${tokensPerSecond.toFixed(1)} tokens/s`,
    ]),
    [vision ? 'image to first token' : 'text to first token', formatMs(firstTokenMs)],
    ['peak memory', `${(peakBytes / 1e6).toFixed(0)} MB`],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n');
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 2 : 1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
