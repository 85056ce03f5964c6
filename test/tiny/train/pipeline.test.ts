/** @file A whole recipe on a toy dataset: it learns, its model answers, and an interrupted run goes on exactly. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { saveAverage } from '../../../src/app/training/average.ts';
import { type RunOptions, runRecipe } from '../../../src/app/training/pipeline.ts';
import { Rng } from '../../../src/core/index.ts';
import { Llava } from '../../../src/engine/index.ts';
import type { StepRecord } from '../../../src/train/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { square, squares, toyRecipe } from './toy.ts';

const root = mkdtempSync(join(tmpdir(), 'llava-train-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const openSources: RunOptions['openSources'] = async specs =>
  specs.map(({ options, weight }) => ({ source: squares(String(options.task)), weight }));

function lossesOf(log: string): number[] {
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return lines.map(line => (JSON.parse(line) as StepRecord).loss);
}

describe('a recipe', () => {
  const output = join(root, 'whole');

  test('trains all stages, and the model answers about images it was trained on', async () => {
    const started: string[] = [];
    const onStageStart: RunOptions['onStageStart'] = (stage, _step, { total, trained }) => {
      started.push(stage.name);
      expect(trained).toBeLessThanOrEqual(total);
      if (stage.kind === 'projector') expect(trained).toBeLessThan(total / 4);
    };
    const folder = await runRecipe(toyRecipe(), { output, openSources, onStageStart });
    expect(started).toEqual(['clip', 'language', 'stage1', 'stage2']);
    for (const stage of started) {
      const losses = lossesOf(join(output, `${stage}.jsonl`));
      expect(losses.at(-1)!, stage).toBeLessThan(losses[0]!);
    }
    using model = await Llava.load(folder);
    expect(model.template).toBe('v1');
    const rng = new Rng(1_000_003);
    for (const colour of ['red', 'green', 'blue', 'yellow'] as const) {
      const image = square(colour, rng);
      expect(await model.ask('What colour is it?', { image, maxTokens: 8 })).toBe(colour);
    }
  });

  test('leaves the vision tower as the contrastive stage made it', () => {
    const clip = openSafetensors(join(output, 'clip/model.safetensors')).entries;
    const stage2 = openSafetensors(join(output, 'stage2/model.safetensors')).entries;
    const names = [...clip.keys()].filter(name => name.startsWith('vision_model.'));
    expect(names.some(name => name.startsWith('vision_model.encoder.layers.1.'))).toBe(true);
    expect(names).toContain('vision_model.post_layernorm.weight');
    for (const name of names) {
      expect(readTensor(stage2.get(`vision_tower.${name}`)!).data, name).toEqual(readTensor(clip.get(name)!).data);
    }
  });

  test('does not run finished stages again', async () => {
    const again: string[] = [];
    await runRecipe(toyRecipe(), { output, openSources, onStageStart: stage => again.push(stage.name) });
    expect(again).toEqual([]);
  });

  test('the average of stages has the means of their weights, and answers', async () => {
    const recipe = toyRecipe();
    const more = { ...recipe.stages.at(-1)!, name: 'more', init: { all: 'stage2' }, steps: 2 };
    const average = { name: 'mean', of: ['stage2', 'more'] };
    const folder = await runRecipe({ ...recipe, stages: [...recipe.stages, more], average }, { output, openSources });
    expect(folder).toBe(join(output, 'mean'));
    const [stage2, other, mean] = ['stage2', 'more', 'mean'].map(
      name => openSafetensors(join(output, name, 'model.safetensors')).entries,
    );
    const values = (entries: typeof stage2, name: string) => readTensor(entries!.get(name)!).data as Float32Array;
    for (const name of mean!.keys()) {
      const [a, b] = [values(stage2, name), values(other, name)];
      expect(values(mean, name), name).toEqual(a.map((value, i) => (value + b[i]!) / 2));
      if (name.startsWith('language_model.')) expect(a, name).not.toEqual(b);
    }
    using model = await Llava.load(folder);
    expect(await model.ask('What colour is it?', { image: square('red', new Rng(1)), maxTokens: 1 })).toBeTypeOf(
      'string',
    );
  });
});

test('stages with different weights have no average', async () => {
  const parts = ['clip', 'stage2'].map(name => join(root, 'whole', name));
  const target = join(root, 'whole', 'none');
  await expect(saveAverage(target, parts)).rejects.toThrow(/stage2: expected .* of shape \[.*\], got none/);
  expect(existsSync(target)).toBe(false);
});

test('a run that is stopped goes on with the losses of an unbroken run', async () => {
  const recipe = toyRecipe({ clip: 12, language: 1, stage1: 1, stage2: 1 });
  const clipOnly = { ...recipe, stages: recipe.stages.slice(0, 1) };
  await runRecipe(clipOnly, { output: join(root, 'unbroken'), openSources });
  const controller = new AbortController();
  const onStep: RunOptions['onStep'] = (_, { step }) => {
    if (step === 8) controller.abort();
  };
  const output = join(root, 'broken');
  await expect(runRecipe(clipOnly, { output, openSources, onStep, signal: controller.signal })).rejects.toThrow(
    'aborted',
  );
  const resumedAt: number[] = [];
  await runRecipe(clipOnly, { output, openSources, onStageStart: (_, step) => resumedAt.push(step) });
  expect(resumedAt).toEqual([5]);
  const [unbroken, broken] = ['unbroken', 'broken'].map(name => lossesOf(join(root, name, 'clip.jsonl')));
  expect(broken).toEqual(unbroken);
});

test('a snapshot of another recipe is refused', async () => {
  const recipe = toyRecipe({ clip: 12, language: 1, stage1: 1, stage2: 1 });
  const output = join(root, 'other');
  const controller = new AbortController();
  const stop: RunOptions['onStep'] = (_, { step }) => void (step === 6 && controller.abort());
  await expect(runRecipe(recipe, { output, openSources, onStep: stop, signal: controller.signal })).rejects.toThrow();
  const changed = toyRecipe({ clip: 13, language: 1, stage1: 1, stage2: 1 });
  await expect(runRecipe(changed, { output, openSources })).rejects.toThrow(/expected a snapshot of this recipe/);
});
