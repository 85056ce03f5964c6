/** @file Recipes that are wrong in one place each: the error names the place, what was expected and what was found. */

import { describe, expect, test } from 'vitest';
import { cosineWithWarmup, decays, isTrained, parseRecipe, warmupSteps } from '../../../src/train/index.ts';

const stage = { name: 's', kind: 'clip', data: [{ source: 'emoji' }], steps: 10, batchSize: 4, learningRate: 0.1 };
const recipe = { name: 'r', tokenizer: { path: 't' }, stages: [stage] };

test('a minimal recipe gets the defaults of the LLaVA scripts', () => {
  const [parsed] = parseRecipe(recipe, 'r.json').stages;
  expect(parsed).toMatchObject({
    warmupRatio: 0.03,
    weightDecay: 0,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    seed: 42,
  });
  expect(parsed!.data).toEqual([{ source: 'emoji', weight: 1, options: {} }]);
});

describe('errors', () => {
  const withStage = (change: object) => ({ ...recipe, stages: [{ ...stage, ...change }] });
  test.each([
    [{ ...recipe, stagse: [] }, 'r.json: expected known options, got stagse (did you mean stages?)'],
    [{ ...recipe, stages: [] }, 'r.json: stages: expected a list with at least one entry, got []'],
    [{ ...recipe, stages: [stage, stage] }, 'r.json: expected stages with different names, got s, s'],
    [{ ...recipe, tokenizer: {} }, 'r.json: tokenizer: expected path or data, got neither'],
    [
      withStage({ lerningRate: 1 }),
      'r.json: stages[0]: expected known options, got lerningRate (did you mean learningRate?)',
    ],
    [
      withStage({ kind: 'clipp' }),
      'r.json: stages[0]: expected one of clip, language, projector, finetune for kind, got "clipp"',
    ],
    [withStage({ steps: 0 }), 'r.json: stages[0]: expected a positive integer for steps, got 0'],
    [
      withStage({ data: [{ source: 'x', weight: -1 }] }),
      'r.json: stages[0]: data[0]: expected a weight above 0, got -1',
    ],
    [
      withStage({ init: { visoin: 'clip' } }),
      'r.json: stages[0]: init: expected known options, got visoin (did you mean vision?)',
    ],
    [{ ...recipe, average: { name: 'm', of: ['s', 't'] } }, 'r.json: average: expected names of stages, s, got t'],
    [{ ...recipe, average: { name: 's', of: ['s'] } }, 'r.json: expected stages with different names, got s, s'],
    [{ ...recipe, average: { name: 'm', of: [1] } }, 'r.json: average: of: expected names of stages, got [1]'],
    [
      { ...recipe, average: { name: 'm', of: [] } },
      'r.json: average: of: expected a list with at least one entry, got []',
    ],
    [null, 'r.json: expected an object, got null'],
  ])('%#', (json, message) => {
    expect(() => parseRecipe(json, 'r.json')).toThrow(message);
  });
});

test('the schedule warms up from 0 and ends at 0', () => {
  expect(cosineWithWarmup(0, 100, 10)).toBe(0);
  expect(cosineWithWarmup(5, 100, 10)).toBe(0.5);
  expect(cosineWithWarmup(10, 100, 10)).toBe(1);
  expect(cosineWithWarmup(55, 100, 10)).toBeCloseTo(0.5, 12);
  expect(cosineWithWarmup(100, 100, 10)).toBeCloseTo(0, 12);
  expect(warmupSteps(0.03, 2181)).toBe(66); // stage 1 of LLaVA-1.5
  expect(warmupSteps(0.03, 5198)).toBe(156); // stage 2
});

test('what each stage trains', () => {
  const names = ['vision_tower.x', 'multi_modal_projector.linear_1.weight', 'language_model.model.norm.weight'];
  const trained = (kind: Parameters<typeof isTrained>[0], vision = false) => names.map(n => isTrained(kind, n, vision));
  expect(trained('projector')).toEqual([false, true, false]);
  expect(trained('finetune')).toEqual([false, true, true]);
  expect(trained('finetune', true)).toEqual([true, true, true]);
  expect(decays('language_model.model.norm.weight', [64])).toBe(false);
  expect(decays('language_model.lm_head.weight', [64, 64])).toBe(true);
});
