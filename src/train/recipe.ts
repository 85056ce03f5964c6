/**
 * @file Recipes: JSON files that say what to train, on what, and how. A recipe is a list of stages that run in order; a
 * stage may start from the weights of an earlier one.
 */

import { LlavaError, rejectUnknownKeys } from '../core/index.ts';
import { Fields, type JsonObject } from '../models/index.ts';
import { STAGE_KINDS, type StageKind } from './stages.ts';

/** One dataset of a stage: the name of a source, its share of the samples, and options of its own. */
export interface DataSpec {
  readonly source: string;
  readonly weight: number;
  readonly options: JsonObject;
}

/** One training stage. */
export interface Stage {
  readonly name: string;
  readonly kind: StageKind;
  /** Model configuration in Hugging Face form; absent where the stage goes on with an earlier stage's model. */
  readonly model: JsonObject | undefined;
  /** Parts whose weights come from earlier stages or checkpoint folders; the others start at random. */
  readonly init: { readonly all?: string; readonly vision?: string; readonly language?: string };
  readonly data: readonly DataSpec[];
  /** Conversation template, by name. */
  readonly template: string;
  readonly steps: number;
  /** Samples of one micro-batch (sequences for language stages). */
  readonly batchSize: number;
  /** Micro-batches of one update. */
  readonly accumulation: number;
  /** Longest example in tokens. */
  readonly maxLength: number;
  readonly learningRate: number;
  /** `muon` for the matrices inside blocks (AdamW for the rest), or `adamw` for all. */
  readonly optimizer: 'adamw' | 'muon';
  /** Learning rate of the matrices that Muon updates. */
  readonly muonLearningRate: number;
  readonly warmupRatio: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Largest gradient norm; 0 switches clipping off. */
  readonly maxGradNorm: number;
  /** Factor on the learning rate of the projector. */
  readonly projectorLrScale: number;
  /** Trains the vision tower too, in a `finetune` stage (as LLaVA-1.6). */
  readonly trainVision: boolean;
  /** Batches of one modality and like lengths, LLaVA's sampler (group_by_modality_length). */
  readonly groupByModalityLength: boolean;
  readonly saveEvery: number;
  /** Element type of the saved weights. */
  readonly saveDtype: 'f32' | 'f16' | 'bf16';
  readonly seed: number;
}

/** How the recipe gets its tokenizer: a folder, or training one on lines of text from a source. */
export interface TokenizerSpec {
  readonly path: string | undefined;
  readonly vocabSize: number;
  readonly lines: number;
  readonly data: DataSpec | undefined;
}

/** A last model whose weights are the means of those of some stages' models. */
export interface AverageSpec {
  readonly name: string;
  /** Names of stages. */
  readonly of: readonly string[];
}

/** A whole recipe. */
export interface Recipe {
  readonly name: string;
  readonly tokenizer: TokenizerSpec;
  readonly stages: readonly Stage[];
  readonly average: AverageSpec | undefined;
}

const RECIPE_KEYS = ['name', 'tokenizer', 'stages', 'average', 'description'];
const AVERAGE_KEYS = ['name', 'of'];
const TOKENIZER_KEYS = ['path', 'vocabSize', 'lines', 'data'];
const DATA_KEYS = ['source', 'weight', 'options'];
const INIT_KEYS = ['all', 'vision', 'language'];
const STAGE_KEYS = [
  ...['name', 'kind', 'model', 'init', 'data', 'template', 'steps', 'batchSize', 'accumulation', 'maxLength'],
  ...[
    'learningRate',
    'optimizer',
    'muonLearningRate',
    'warmupRatio',
    'weightDecay',
    'beta1',
    'beta2',
    'epsilon',
    'maxGradNorm',
    'projectorLrScale',
  ],
  ...['trainVision', 'groupByModalityLength', 'saveEvery', 'saveDtype', 'seed'],
];

/** Parses a decoded recipe; `where` names the file. Throws {@link LlavaError} on unknown keys, with the nearest known. */
export function parseRecipe(json: unknown, where: string): Recipe {
  const fields = new Fields(json, where);
  rejectUnknownKeys(where, json as object, RECIPE_KEYS);
  const stages = list((json as JsonObject).stages, `${where}: stages`);
  const recipe = {
    name: fields.string('name'),
    tokenizer: parseTokenizer(fields.object('tokenizer'), `${where}: tokenizer`),
    stages: stages.map((stage, i) => parseStage(stage, `${where}: stages[${i}]`)),
    average: fields.optionalObject('average') && parseAverage(fields.object('average'), `${where}: average`),
  };
  checkNames(recipe, where);
  return recipe;
}

function checkNames({ stages, average }: Recipe, where: string): void {
  const names = stages.map(stage => stage.name);
  const unknown = average?.of.find(name => !names.includes(name));
  if (unknown !== undefined) {
    throw new LlavaError(`${where}: average: expected names of stages, ${names.join(', ')}, got ${unknown}`);
  }
  if (average) names.push(average.name);
  if (new Set(names).size === names.length) return;
  throw new LlavaError(`${where}: expected stages with different names, got ${names.join(', ')}`);
}

function parseAverage(json: JsonObject, where: string): AverageSpec {
  rejectUnknownKeys(where, json, AVERAGE_KEYS);
  const fields = new Fields(json, where);
  const of = list(json.of, `${where}: of`);
  if (!of.every(name => typeof name === 'string')) {
    throw new LlavaError(`${where}: of: expected names of stages, got ${JSON.stringify(of)}`);
  }
  return { name: fields.string('name'), of };
}

function list(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new LlavaError(`${where}: expected a list with at least one entry, got ${JSON.stringify(value) ?? 'nothing'}`);
}

function parseTokenizer(json: JsonObject, where: string): TokenizerSpec {
  rejectUnknownKeys(where, json, TOKENIZER_KEYS);
  const fields = new Fields(json, where);
  const data = fields.optionalObject('data');
  const path = json.path === undefined ? undefined : fields.string('path');
  if (!path && !data) throw new LlavaError(`${where}: expected path or data, got neither`);
  return {
    path,
    vocabSize: fields.positive('vocabSize', 2048),
    lines: fields.positive('lines', 20_000),
    data: data && parseData(data, `${where}: data`),
  };
}

function parseData(json: unknown, where: string): DataSpec {
  const fields = new Fields(json, where);
  rejectUnknownKeys(where, json as object, DATA_KEYS);
  const weight = fields.number('weight', 1);
  if (weight <= 0) throw new LlavaError(`${where}: expected a weight above 0, got ${weight}`);
  return { source: fields.string('source'), weight, options: fields.optionalObject('options') ?? {} };
}

function parseStage(json: unknown, where: string): Stage {
  const fields = new Fields(json, where);
  rejectUnknownKeys(where, json as object, STAGE_KEYS);
  const init = fields.optionalObject('init') ?? {};
  rejectUnknownKeys(`${where}: init`, init, INIT_KEYS);
  return {
    name: fields.string('name'),
    kind: fields.choice('kind', STAGE_KINDS),
    model: fields.optionalObject('model'),
    init: init as Stage['init'],
    data: list((json as JsonObject).data, `${where}: data`).map((d, i) => parseData(d, `${where}: data[${i}]`)),
    template: fields.string('template', 'v1'),
    ...parseNumbers(fields),
    optimizer: fields.choice('optimizer', ['adamw', 'muon'], 'adamw'),
    trainVision: fields.boolean('trainVision', false),
    groupByModalityLength: fields.boolean('groupByModalityLength', false),
    saveDtype: fields.choice('saveDtype', ['f32', 'f16', 'bf16'], 'f32'),
  };
}

/** Defaults are those of the LLaVA-1.5 scripts where these set one (β, ε, warm-up 0.03, no decay). */
function parseNumbers(fields: Fields) {
  return {
    steps: fields.positive('steps'),
    batchSize: fields.positive('batchSize'),
    accumulation: fields.positive('accumulation', 1),
    maxLength: fields.positive('maxLength', 2048),
    learningRate: fields.number('learningRate'),
    muonLearningRate: fields.number('muonLearningRate', 0.02),
    warmupRatio: fields.number('warmupRatio', 0.03),
    weightDecay: fields.number('weightDecay', 0),
    beta1: fields.number('beta1', 0.9),
    beta2: fields.number('beta2', 0.999),
    epsilon: fields.number('epsilon', 1e-8),
    maxGradNorm: fields.number('maxGradNorm', 1),
    projectorLrScale: fields.number('projectorLrScale', 1),
    saveEvery: fields.positive('saveEvery', 500),
    seed: fields.integer('seed', 42),
  };
}
