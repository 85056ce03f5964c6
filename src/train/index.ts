export { resumeSnapshot, saveSnapshot, type TrainerState } from './checkpoint.ts';
export { type LoopOptions, type StepBatches, type StepRecord, trainLoop } from './loop.ts';
export { updateGraph } from './optimizer.ts';
export { type AverageSpec, type DataSpec, parseRecipe, type Recipe, type Stage, type TokenizerSpec } from './recipe.ts';
export { cosineWithWarmup, warmupSteps } from './schedule.ts';
export * from './stages.ts';
export { type Objective, stepGraph } from './step-graph.ts';
export { type BatchFeeds, createTrainer, type StepResult, Trainer, type TrainerOptions } from './trainer.ts';
export type { OptimizerOptions, UpdatedParam } from './updated-param.ts';
