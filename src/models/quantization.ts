/** @file Which linear layers of a model are stored in which form, and how `config.json` says so. */

import { BLOCK_SIZE, type FormatPlan, WEIGHT_FORMATS, type WeightFormat } from '../nn/index.ts';
import { Fields, type JsonObject } from './fields.ts';

export { BLOCK_SIZE, type FormatPlan, WEIGHT_FORMATS, type WeightFormat };

/** Form of every linear layer of a model. */
export interface Quantization {
  readonly format: WeightFormat;
  /** Layer paths, `*` standing for any text, and their own form; the last that fits holds. */
  readonly exceptions: readonly (readonly [pattern: string, format: WeightFormat])[];
}

/**
 * Plans by name. Rounding activations to 8 bits costs most before `down_proj` and `o_proj` and in the head, where they have
 * outliers; rounding weights to 4 bits costs most in the same layers and the values.
 */
export const MIXED_PLANS = {
  mixed8: {
    format: 'w8a8',
    exceptions: [
      ['*.down_proj', 'w8a16'],
      ['*.o_proj', 'w8a16'],
      ['*lm_head', 'w8a16'],
    ],
  },
  mixed4: {
    format: 'w8a16',
    exceptions: ['gate', 'up', 'q', 'k'].map(name => [`*model.layers.*.${name}_proj`, 'int4'] as const),
  },
} as const satisfies Readonly<Record<string, Quantization>>;

/** A plan of {@link MIXED_PLANS}, or one form for all layers. */
export type PlanName = WeightFormat | keyof typeof MIXED_PLANS;

/** All names of plans. */
export const PLAN_NAMES: readonly PlanName[] = [
  ...WEIGHT_FORMATS,
  ...(Object.keys(MIXED_PLANS) as (keyof typeof MIXED_PLANS)[]),
];

/** The plan of that name. */
export function namedPlan(name: PlanName): Quantization {
  return isMixed(name) ? MIXED_PLANS[name] : { format: name, exceptions: [] };
}

/** What a plan goes by: the mixed plan whose exceptions it begins with, else its form. */
export function planName({ format, exceptions }: Quantization): PlanName {
  const isPrefix = (plan: Quantization): boolean =>
    plan.format === format &&
    plan.exceptions.every(([pattern, own], i) => exceptions[i]?.[0] === pattern && exceptions[i][1] === own);
  return PLAN_NAMES.find(name => isMixed(name) && isPrefix(MIXED_PLANS[name])) ?? format;
}

function isMixed(name: PlanName): name is keyof typeof MIXED_PLANS {
  return name in MIXED_PLANS;
}

/** Parses `{"format": …, "exceptions": {pattern: format, …}}`. `where` names the place in errors. */
export function parseQuantization(json: JsonObject, where: string): Quantization {
  const fields = new Fields(json, where);
  const given = fields.optionalObject('exceptions') ?? {};
  const exceptions = new Fields(given, `${where}: exceptions`);
  return {
    format: fields.choice('format', WEIGHT_FORMATS),
    exceptions: Object.keys(given).map(pattern => [pattern, exceptions.choice(pattern, WEIGHT_FORMATS)] as const),
  };
}

/** What {@link parseQuantization} reads. */
export function formatQuantization({ format, exceptions }: Quantization): JsonObject {
  return { format, exceptions: Object.fromEntries(exceptions) };
}

/** The plan as a function of a layer's path. */
export function formatPlan({ format, exceptions }: Quantization): FormatPlan {
  const rules = exceptions.map(([pattern, own]) => ({ pattern: globPattern(pattern), own }));
  return path => rules.findLast(({ pattern }) => pattern.test(path))?.own ?? format;
}

function globPattern(glob: string): RegExp {
  const parts = glob.split('*').map(text => text.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`);
}

/** Whether a form is one of floats, whose weights are not rounded to whole numbers. */
export function isFloatFormat(format: WeightFormat): boolean {
  return format === 'float' || format === 'f16';
}

/** Whether a layer of `inputs` inputs can be stored as `format`. */
export function fitsFormat(format: WeightFormat, inputs: number): boolean {
  return (format !== 'int4' && format !== 'int8') || inputs % BLOCK_SIZE === 0;
}
