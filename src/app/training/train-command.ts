/** @file What `llava train` does: reads a recipe, opens its data, runs its stages, shows where it stands. */

import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type AverageSpec, parseRecipe, type Recipe, type Stage, type StepRecord } from '../../train/index.ts';
import { parseJson } from '../../weights/index.ts';
import { runRecipe } from './pipeline.ts';
import { openSources } from './sources.ts';

/** Options of the command. */
export interface TrainOptions {
  readonly recipe: string;
  /** Default: `runs/<recipe name>` in the working directory. */
  readonly output?: string;
  /** Folder of a `data` file or archive that the recipe names without a path. */
  readonly data?: string;
  readonly threads?: number;
  /** Multiplies the steps of every stage, for trying a recipe out. */
  readonly scale?: number;
  readonly signal?: AbortSignal;
}

/** Where the command shows what it does. */
export interface TrainReporter {
  readonly stageStarted: (stage: Stage, startStep: number, parameters: { total: number; trained: number }) => void;
  readonly step: (stage: Stage, record: StepRecord) => void;
  readonly stageEnded: (stage: Stage, folder: string) => void;
  readonly averaged: (average: AverageSpec, folder: string) => void;
}

/** Runs the recipe and returns the folder of its last model. */
export async function train(options: TrainOptions, reporter: TrainReporter): Promise<string> {
  const recipe = scaled(readRecipe(options.recipe), options.scale ?? 1);
  return runRecipe(recipe, {
    output: resolve(options.output ?? `runs/${recipe.name}`),
    openSources: specs => openSources(specs, options.data),
    onStageStart: (...event) => reporter.stageStarted(...event),
    onStep: (...event) => reporter.step(...event),
    onStageEnd: (...event) => reporter.stageEnded(...event),
    onAverage: (...event) => reporter.averaged(...event),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

/** Reads and checks a recipe file. */
export function readRecipe(file: string): Recipe {
  return parseRecipe(parseJson(readFileSync(file, 'utf8'), basename(file)), basename(file));
}

function scaled(recipe: Recipe, factor: number): Recipe {
  const stages = recipe.stages.map(stage => ({ ...stage, steps: Math.max(1, Math.round(stage.steps * factor)) }));
  return { ...recipe, stages };
}
