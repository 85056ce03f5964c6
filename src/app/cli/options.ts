/** @file Options that several commands share, and how their values are read. */

import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { AskOptions, LoadOptions, QuantChoice } from '../../engine/index.ts';
import {
  CACHE_TYPES,
  type CacheType,
  COMPAT_NAMES,
  type Compat,
  PLAN_NAMES,
  PRECISIONS,
  type Precision,
} from '../../models/index.ts';
import { DEVICES, type Device } from '../../runtime/index.ts';
import { MODEL_NAME } from './model-name.ts';

/** The demo model that the package carries. */
export const DEMO_MODEL = fileURLToPath(new URL('../../../models/demo', import.meta.url));

/** Values of {@link addModelOptions}. */
export interface ModelValues {
  readonly model: string;
  readonly mmproj?: string;
  readonly template?: string;
  readonly compat?: Compat;
  readonly visionTower?: string;
  readonly modelBase?: string;
  readonly device?: Device;
  readonly precision?: Precision;
  readonly draft?: string;
  readonly threads?: number;
  readonly quant?: QuantChoice;
  readonly kv?: CacheType;
  readonly imageCache?: string | true;
  readonly maxPixels?: number;
  readonly maxSide?: number;
}

/** Values of {@link addGenerationOptions}. */
export interface GenerationValues {
  readonly maxTokens?: number;
  readonly lookahead?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

/** A number from the command line. Throws a {@link LlavaError} that names the option. */
export function parseNumber(option: string): (text: string) => number {
  return text => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value)) return value;
    throw new LlavaError(`option ${option}: expected a number, got ${JSON.stringify(text)}`);
  };
}

/** Collects the values of an option that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

function numberOption(name: string, description: string): Option {
  return new Option(`${name} <number>`, description).argParser(parseNumber(name));
}

/** Whose rules hold for pictures and prompts. */
export function compatOption(): Option {
  const option = new Option('--compat <rules>', "rules for pictures and prompts (default: the model's own format)");
  return option.choices(COMPAT_NAMES);
}

/** Where the tower of an original model is. */
export function visionTowerOption(): Option {
  return new Option('--vision-tower <folder>', 'vision tower of a model that only names it (default: one beside it)');
}

/** What an adapter, a projector alone or a delta is applied to. */
export function modelBaseOption(): Option {
  return new Option('--model-base <folder>', 'base of an adapter, of a projector alone or of a delta (default: none)');
}

/** `--kv`. */
export function kvOption(): Option {
  const option = new Option(
    '--kv <type>',
    'type that keys and values are kept in; f16 takes half the memory (default: f32, on devices f16)',
  );
  return option.choices(CACHE_TYPES);
}

/** `--device`. */
export function deviceOption(): Option {
  return new Option('--device <name>', 'what computes (default: cpu); see llava info --devices').choices(DEVICES);
}

/** `--precision`. */
export function precisionOption(): Option {
  const option = new Option('--precision <type>', 'what numbers it is computed in (default: f32, on devices f16)');
  return option.choices(PRECISIONS);
}

/** Form of the weights. */
export function quantOption(): Option {
  const option = new Option('--quant <form>', 'form of the weights; float weights are converted once, into the cache');
  return option.choices(['auto', ...PLAN_NAMES]);
}

/** `--mmproj`. */
export function mmprojOption(): Option {
  return new Option(
    '--mmproj <file>',
    'vision half of a model that is a .gguf file (default: none, or mmproj*.gguf of a folder)',
  );
}

/** Which model, and how it reads images. */
export function addModelOptions(command: Command): Command {
  return command
    .addOption(new Option('--model <name>', MODEL_NAME).default(DEMO_MODEL, 'the demo model of this package'))
    .addOption(mmprojOption())
    .option('--template <name>', "conversation template or .jinja file (default: the model's own)")
    .addOption(compatOption())
    .addOption(visionTowerOption())
    .addOption(modelBaseOption())
    .option('--draft <name>', 'small language model with the same tokens that guesses ahead (default: none)')
    .addOption(quantOption())
    .addOption(kvOption())
    .option('--image-cache [folder]', "keep features of images on disk (default: off; folder: the library's cache)")
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(numberOption('--threads', 'threads of the computation (default: all cores)'))
    .addOption(numberOption('--max-pixels', 'largest image, width × height (default: 100000000)'))
    .addOption(numberOption('--max-side', 'largest side of an image, pixels (default: 65535)'));
}

/** How the answer is made. */
export function addGenerationOptions(command: Command): Command {
  return command
    .addOption(numberOption('--max-tokens', 'longest answer, tokens (default: 512)'))
    .addOption(numberOption('--temperature', 'randomness: 0 always takes the likeliest token (default: 0)'))
    .addOption(numberOption('--top-k', 'draw from the k likeliest tokens only (default: 0, all)'))
    .addOption(numberOption('--top-p', 'draw from the likeliest tokens up to this probability (default: 1)'))
    .addOption(numberOption('--min-p', 'leave out tokens less likely than this part of the likeliest (default: 0)'))
    .addOption(numberOption('--repetition-penalty', 'above 1 avoids what was said before (default: 1)'))
    .addOption(numberOption('--seed', 'seed of the random draws (default: random)'))
    .addOption(
      numberOption(
        '--lookahead',
        'tokens guessed at once; same answer but for ties that rounding decides (default: 0, with --draft 4)',
      ),
    )
    .option('--stop <text>', 'end the answer before this text; may be given several times', collect);
}

/** The parts of the command line's values that loading a model reads. */
export function loadOptions(
  {
    mmproj,
    template,
    compat,
    visionTower,
    modelBase,
    device,
    precision,
    draft,
    threads,
    quant,
    kv,
    imageCache,
  }: ModelValues,
  signal: AbortSignal,
): LoadOptions {
  return {
    signal,
    ...(mmproj !== undefined && { mmproj }),
    ...(template !== undefined && { template }),
    ...(compat !== undefined && { compat }),
    ...(visionTower !== undefined && { visionTower }),
    ...(modelBase !== undefined && { modelBase }),
    ...(quant && { quant }),
    ...(kv && { kvCache: kv }),
    ...(imageCache !== undefined && { imageCache }),
    ...(device && { device }),
    ...(precision && { precision }),
    ...(draft !== undefined && { draft }),
    ...(threads !== undefined && { threads }),
  };
}

const GENERATION_KEYS = [
  ...['maxTokens', 'lookahead', 'temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'seed', 'stop'],
] as const;

/** The parts of the command line's values that asking reads. */
export function generationOptions(values: GenerationValues): Omit<AskOptions, 'image' | 'images'> {
  const given = Object.entries(values).filter(([key]) => (GENERATION_KEYS as readonly string[]).includes(key));
  return Object.fromEntries(given);
}
