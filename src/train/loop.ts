/** @file The training loop: batch → update → log → snapshot, until the last step. */

import { throwIfAborted } from '../core/index.ts';
import { cosineWithWarmup } from './schedule.ts';
import type { BatchFeeds, Trainer } from './trainer.ts';

/** The micro-batches of one step. */
export interface StepBatches {
  readonly microBatches: readonly BatchFeeds[];
  /** Tokens (or pairs, for contrastive training) in them, without padding. */
  readonly tokens: number;
  /** Examples that were longer than the stage's limit and were cut. */
  readonly truncated: number;
  /** Examples left out because no target was left in them. */
  readonly skipped: number;
}

/** What is known after a step; one line of the log. */
export interface StepRecord {
  /** 1-based */
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradNorm: number;
  readonly tokens: number;
  readonly truncated: number;
  readonly skipped: number;
  readonly seconds: number;
}

/** A run. */
export interface LoopOptions {
  readonly trainer: Trainer;
  readonly totalSteps: number;
  readonly warmupSteps: number;
  readonly learningRate: number;
  /** The batches of a 0-based step: a pure function of the step, so that a resumed run sees the same. */
  readonly batches: (step: number) => Promise<StepBatches>;
  readonly onStep: (record: StepRecord) => void;
  /** Called every `saveEvery` steps and after the last. */
  readonly save: (step: number) => Promise<void>;
  readonly saveEvery: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs steps `startStep` … totalSteps − 1. Each step's batches are made while the step before it runs. */
export async function trainLoop(options: LoopOptions, startStep: number): Promise<void> {
  const { trainer, totalSteps } = options;
  let coming = startStep < totalSteps ? options.batches(startStep) : undefined;
  for (let step = startStep; step < totalSteps; step++) {
    throwIfAborted(options.signal, 'train');
    const { microBatches, ...counts } = await coming!;
    const started = performance.now();
    const learningRate = options.learningRate * cosineWithWarmup(step, totalSteps, options.warmupSteps);
    const update = trainer.step(microBatches, learningRate);
    coming = step + 1 < totalSteps ? options.batches(step + 1) : undefined;
    coming?.catch(() => undefined); // reported when it is awaited, not before
    const { loss, gradNorm } = await update;
    const seconds = (performance.now() - started) / 1000;
    options.onStep({ step: step + 1, loss, learningRate, gradNorm, ...counts, seconds });
    const last = step + 1 === totalSteps;
    if (last || (step + 1) % options.saveEvery === 0) await options.save(step + 1);
  }
}
