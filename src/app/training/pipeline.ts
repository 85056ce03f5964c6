/**
 * @file A recipe from its first stage to its last. Each stage writes a checkpoint folder that `llava ask` and Python's
 * `transformers` load; a stage whose folder is there already is not run again, one that was interrupted goes on from its
 * last snapshot.
 */

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import type { WeightedSource } from '../../data/index.ts';
import { isLanguageConfig, type ModelConfig } from '../../models/index.ts';
import type { Tokenizer } from '../../processor/index.ts';
import {
  type AverageSpec,
  createTrainer,
  decays,
  isTrained,
  type Recipe,
  resumeSnapshot,
  type Stage,
  type StepRecord,
  saveSnapshot,
  suitsMuon,
  type Trainer,
  trainLoop,
  type UpdatedParam,
  warmupSteps,
} from '../../train/index.ts';
import { saveAverage } from './average.ts';
import { stageBatches } from './batches.ts';
import { initialWeights } from './initial-weights.ts';
import { prepareTokenizer } from './recipe-tokenizer.ts';
import { saveStageModel } from './stage-folder.ts';
import { type StageModel, stageModel } from './stage-model.ts';

/** What the caller of {@link runRecipe} gives. */
export interface RunOptions {
  /** Folder for tokenizer, stages and logs. */
  readonly output: string;
  /** Opens the datasets of a stage. */
  readonly openSources: (data: Stage['data']) => Promise<readonly WeightedSource[]>;
  readonly onStageStart?: (stage: Stage, startStep: number, parameters: { total: number; trained: number }) => void;
  readonly onStep?: (stage: Stage, record: StepRecord) => void;
  readonly onStageEnd?: (stage: Stage, folder: string) => void;
  readonly onAverage?: (average: AverageSpec, folder: string) => void;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** Runs the stages that are not done yet and returns the folder of the last, or of their average. */
export async function runRecipe(recipe: Recipe, options: RunOptions): Promise<string> {
  mkdirSync(options.output, { recursive: true });
  const tokenizer = await prepareTokenizer(recipe, options.output, options.openSources);
  let folder = options.output;
  for (const stage of recipe.stages) {
    folder = join(options.output, stage.name);
    if (!existsSync(join(folder, 'config.json'))) await runStage(recipe, stage, folder, tokenizer, options);
    options.onStageEnd?.(stage, folder);
  }
  return recipe.average ? await averageStages(recipe.average, options) : folder;
}

/** The stages' models are always averaged anew: it takes a moment, and one of them may have been trained again. */
async function averageStages(average: AverageSpec, { output, onAverage }: RunOptions): Promise<string> {
  const folder = join(output, average.name);
  await saveAverage(
    folder,
    average.of.map(name => join(output, name)),
  );
  onAverage?.(average, folder);
  return folder;
}

async function runStage(
  recipe: Recipe,
  stage: Stage,
  folder: string,
  tokenizer: Tokenizer,
  options: RunOptions,
): Promise<void> {
  const folderOf = (name: string) => stageFolder(recipe, options.output, name);
  const model = stageModel(stage, tokenizer, folderOf);
  const sources = await options.openSources(stage.data);
  const { trained, trainer, values } = await stageTrainer(stage, model, folderOf, options.threads);
  try {
    const snapshot = `${folder}.snapshot`;
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([stage, model.json]))
      .digest('hex');
    const startStep = resumeSnapshot(snapshot, trainer, fingerprint);
    options.onStageStart?.(stage, startStep, countParameters(model, trained));
    const log = stepLog(`${folder}.jsonl`, startStep);
    const names = trained.map(p => p.name);
    await trainLoop(
      {
        trainer,
        totalSteps: stage.steps,
        warmupSteps: warmupSteps(stage.warmupRatio, stage.steps),
        learningRate: stage.learningRate,
        batches: stageBatches(stage, sources, { tokenizer, ...model }),
        onStep: record => {
          log(record);
          options.onStep?.(stage, record);
        },
        save: step => saveSnapshot(snapshot, trainer, names, { step, fingerprint }),
        saveEvery: stage.saveEvery,
        signal: options.signal,
      },
      startStep,
    );
    for (const name of names) values.set(name, trainer.read(name));
    await saveStageModel(folder, stage, model, values, options.output);
    rmSync(snapshot, { recursive: true, force: true });
  } finally {
    trainer.dispose();
  }
}

/** An earlier stage's folder by its name, else a checkpoint folder by its path. */
function stageFolder(recipe: Recipe, output: string, name: string): string {
  const folder = recipe.stages.some(stage => stage.name === name) ? join(output, name) : name;
  if (existsSync(join(folder, 'config.json'))) return folder;
  throw new LlavaError(`init: expected an earlier stage or a checkpoint folder, got ${name}`);
}

async function stageTrainer(stage: Stage, model: StageModel, folderOf: (name: string) => string, threads?: number) {
  const { params } = model.objective;
  const start = initialWeights(stage, name => towerDepth(model.config, name), folderOf);
  const values = new Map([...params].map(([name, value]) => [name, start(name, value.shape as readonly number[])]));
  const trained = [...params]
    .filter(([name]) => isTrained(stage.kind, name, stage.trainVision))
    .map(([name, value]) => updatedParam(stage, name, value.shape as readonly number[]));
  const trainer: Trainer = await createTrainer({
    objective: model.objective,
    trained,
    initial: name => values.get(name)!,
    optimizer: {
      beta1: stage.beta1,
      beta2: stage.beta2,
      epsilon: stage.epsilon,
      maxGradNorm: stage.maxGradNorm === 0 ? Number.POSITIVE_INFINITY : stage.maxGradNorm,
    },
    ...(threads === undefined ? {} : { threads }),
  });
  return { trained, trainer, values };
}

function updatedParam(stage: Stage, name: string, shape: readonly number[]): UpdatedParam {
  return {
    name,
    shape,
    weightDecay: decays(name, shape) ? stage.weightDecay : 0,
    ...(stage.optimizer === 'muon' && suitsMuon(name, shape)
      ? { optimizer: 'muon', lrScale: stage.muonLearningRate / stage.learningRate }
      : { lrScale: name.startsWith('multi_modal_projector.') ? stage.projectorLrScale : 1 }),
  };
}

/** Blocks of the tower that the parameter `name` belongs to. */
function towerDepth(config: ModelConfig, name: string): number {
  if (isLanguageConfig(config)) return config.numHiddenLayers;
  if (config.modelType === 'clip') return (name.startsWith('text_model') ? config.text : config.vision).numHiddenLayers;
  return (name.startsWith('vision_tower') ? config.vision : config.language).numHiddenLayers;
}

function countParameters(model: StageModel, trained: readonly UpdatedParam[]) {
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const total = [...model.objective.params.values()].reduce((sum, v) => sum + size(v.shape as readonly number[]), 0);
  return { total, trained: trained.reduce((sum, p) => sum + size(p.shape), 0) };
}

/** Appends a JSON line a step; lines after the step that a run resumes at belong to steps that are done anew. */
function stepLog(file: string, startStep: number): (record: StepRecord) => void {
  const old = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const kept = old.filter(line => line !== '' && (JSON.parse(line) as StepRecord).step <= startStep);
  writeFileSync(file, kept.map(line => `${line}\n`).join(''));
  return record => appendFileSync(file, `${JSON.stringify(record)}\n`);
}
