/** @file Muon against torch.optim.Muon, and in a recipe's terms: which parameters it updates, and that a resumed run goes on. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { f32Tensor, type HostTensor } from '../../../src/core/index.ts';
import { input, mul, reduceSum } from '../../../src/graph/index.ts';
import { createTrainer, suitsMuon, type Trainer, type UpdatedParam } from '../../../src/train/index.ts';
import { relativeError } from '../models/goldens.ts';

interface Curve {
  readonly shape: [number, number];
  readonly start: number[];
  readonly gradients: number[][];
  readonly values: number[][];
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../golden/training/muon.json'), 'utf8')) as {
  learning_rate: number;
  weight_decay: number;
  matrices: Record<string, Curve>;
};

/** A trainer of one matrix whose gradient is what is fed as `g`: loss = Σ w·g. */
function matrixTrainer({ shape, start }: Curve): Promise<Trainer> {
  const value = input('w', 'f32', shape);
  const param: UpdatedParam = { name: 'w', shape, weightDecay: golden.weight_decay, lrScale: 1, optimizer: 'muon' };
  return createTrainer({
    objective: { loss: reduceSum(mul(value, input('g', 'f32', shape)), [0, 1]), params: new Map([['w', value]]) },
    trained: [param],
    initial: () => f32Tensor(shape, start),
    optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: Number.POSITIVE_INFINITY },
  });
}

async function runSteps(trainer: Trainer, curve: Curve, from: number): Promise<HostTensor[]> {
  const values: HostTensor[] = [];
  for (const gradient of curve.gradients.slice(from)) {
    await trainer.step([{ g: f32Tensor(curve.shape, gradient) }], golden.learning_rate);
    values.push(trainer.read('w'));
  }
  return values;
}

describe.each(Object.entries(golden.matrices))('%s matrix', (_, curve) => {
  test('equals torch.optim.Muon after every step', async () => {
    using trainer = await matrixTrainer(curve);
    const values = await runSteps(trainer, curve, 0);
    for (const [step, value] of values.entries())
      expect(relativeError(value, f32Tensor(curve.shape, curve.values[step]!)), `step ${step}`).toBeLessThan(1e-5);
  });

  test('goes on from saved state as if it had not stopped', async () => {
    using unbroken = await matrixTrainer(curve);
    const expected = await runSteps(unbroken, curve, 0);
    using first = await matrixTrainer(curve);
    await runSteps(first, { ...curve, gradients: curve.gradients.slice(0, 3) }, 0);
    const saved = new Map([...first.optimizerState(), ['w', first.read('w')]]);
    using second = await matrixTrainer(curve);
    second.restore(slot => saved.get(slot)!, 3);
    expect((await runSteps(second, curve, 3)).at(-1)!.data).toEqual(expected.at(-1)!.data);
  });
});

test('takes the matrices inside blocks, not embeddings, heads, norms or convolutions', () => {
  const width = [8, 8];
  expect(suitsMuon('vision_model.encoder.layers.3.self_attn.q_proj.weight', width)).toBe(true);
  expect(suitsMuon('language_model.model.layers.0.mlp.down_proj.weight', [8, 24])).toBe(true);
  expect(suitsMuon('model.layers.0.input_layernorm.weight', [8])).toBe(false);
  expect(suitsMuon('model.embed_tokens.weight', width)).toBe(false);
  expect(suitsMuon('lm_head.weight', width)).toBe(false);
  expect(suitsMuon('visual_projection.weight', width)).toBe(false);
  expect(suitsMuon('vision_model.embeddings.patch_embedding.weight', [8, 3, 4, 4])).toBe(false);
});
