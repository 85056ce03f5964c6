/** @file Training against PyTorch: loss and every gradient of one step, and loss curves of 20 steps of AdamW. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type HostTensor, i64Tensor } from '../../../src/core/index.ts';
import { CLIP_NAMES, type ClipConfig, LLAVA_NAMES, type LlavaConfig } from '../../../src/models/index.ts';
import { clipObjective, cosineWithWarmup, createTrainer, llavaObjective } from '../../../src/train/index.ts';
import { openSafetensors, readTensor } from '../../../src/weights/index.ts';
import { openGolden, readWeights, relativeError } from '../models/goldens.ts';
import { lossAndGradients } from './gradients.ts';

const GRADIENT_TOLERANCE = 1e-4;
const CURVE_TOLERANCE = 1e-3;

function openTraining(stage: string) {
  const folder = join(import.meta.dirname, '../../golden/training', stage);
  const { entries } = openSafetensors(join(folder, 'golden.safetensors'));
  return {
    json: JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')),
    tensor: (name: string): HostTensor => readTensor(entries.get(name)!),
    gradients: [...entries.keys()].filter(name => name.startsWith('grad.')).map(name => name.slice(5)),
  };
}

/** The golden's right-padded batch in our form: labels name the positions whose prediction counts. */
function llavaFeeds(golden: ReturnType<typeof openTraining>, imageToken: number): Record<string, HostTensor> {
  const ids = Array.from(golden.tensor('input_ids').data, Number);
  const labels = Array.from(golden.tensor('labels').data, Number);
  const shape = golden.tensor('input_ids').shape;
  const length = shape[1]!;
  let feature = ids.length;
  const source = ids.map((id, i) => (id === imageToken ? feature++ : i));
  const targetPositions = labels.flatMap((label, i) => (label !== -100 && i % length > 0 ? [i] : []));
  return {
    pixels: golden.tensor('pixel_values'),
    ids: i64Tensor(
      shape,
      ids.map(id => (id === imageToken ? 0 : id)),
    ),
    source: i64Tensor(shape, source),
    rows: i64Tensor(
      [targetPositions.length],
      targetPositions.map(i => i - 1),
    ),
    targets: i64Tensor(
      [targetPositions.length],
      targetPositions.map(i => labels[i]!),
    ),
  };
}

function expectGradients(results: Record<string, HostTensor>, golden: ReturnType<typeof openTraining>): void {
  expect(golden.gradients.length).toBeGreaterThan(0);
  expect(Math.abs(Number(results.loss!.data[0]) - golden.json.loss) / golden.json.loss).toBeLessThan(
    GRADIENT_TOLERANCE,
  );
  for (const name of golden.gradients) {
    const ours = results[`grad.${name}`]!;
    const theirs = golden.tensor(`grad.${name}`);
    if (golden.json.zero_gradients.includes(name)) {
      expect(Math.max(...Array.from(ours.data as Float32Array, Math.abs)), name).toBeLessThan(1e-5);
    } else expect(relativeError(ours, theirs), name).toBeLessThan(GRADIENT_TOLERANCE);
  }
}

describe.each(['stage1', 'stage2'])('%s', stage => {
  const golden = openTraining(stage);
  const model = openGolden('llava-1.5');
  const config = model.config as LlavaConfig;
  const weights = readWeights(model.folder, LLAVA_NAMES);

  test('loss and every gradient', async () => {
    const feeds = llavaFeeds(golden, config.imageTokenId);
    const names = golden.gradients;
    expectGradients(await lossAndGradients(llavaObjective(config), names, weights, feeds), golden);
  });

  test.each(Object.keys(golden.json.curves))('20 steps, %s', async key => {
    const curve = golden.json.curves[key];
    const { learning_rate, betas, eps, max_grad_norm, warmup_steps, steps } = golden.json.optimizer;
    const objective = llavaObjective(config);
    using trainer = await createTrainer({
      objective,
      trained: golden.gradients.map(name => ({
        name,
        shape: objective.params.get(name)!.shape as number[],
        weightDecay: curve.decayed.includes(name) ? curve.weight_decay : 0,
        lrScale: 1,
      })),
      initial: name => weights.get(name)!,
      optimizer: { beta1: betas[0], beta2: betas[1], epsilon: eps, maxGradNorm: max_grad_norm },
    });
    const feeds = llavaFeeds(golden, config.imageTokenId);
    for (let step = 0; step < steps; step++) {
      const lr = learning_rate * cosineWithWarmup(step, steps, warmup_steps);
      expect(lr).toBeCloseTo(curve.learning_rates[step], 10);
      const { loss, gradNorm } = await trainer.step([feeds], lr);
      expect(Math.abs(loss - curve.losses[step]), `loss of step ${step}`).toBeLessThan(CURVE_TOLERANCE);
      expect(Math.abs(gradNorm / curve.grad_norms[step] - 1), `norm of step ${step}`).toBeLessThan(CURVE_TOLERANCE);
    }
    for (const [name, { mean, abs_mean }] of Object.entries<{ mean: number; abs_mean: number }>(curve.final)) {
      const values = trainer.read(name).data as Float32Array;
      const average = (f: (x: number) => number) => values.reduce((sum, x) => sum + f(x), 0) / values.length;
      expect(
        average(x => x),
        `mean of ${name}`,
      ).toBeCloseTo(mean, 4);
      expect(average(Math.abs), `mean size of ${name}`).toBeCloseTo(abs_mean, 4);
    }
  });

  test('two micro-batches of one half each equal the mean of their gradients', async () => {
    const objective = llavaObjective(config);
    const feeds = llavaFeeds(golden, config.imageTokenId);
    const trained = golden.gradients.map(name => ({
      name,
      shape: objective.params.get(name)!.shape as number[],
      weightDecay: 0,
      lrScale: 1,
    }));
    const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 };
    const make = () => createTrainer({ objective, trained, initial: name => weights.get(name)!, optimizer });
    using once = await make();
    using twice = await make();
    const a = await once.step([feeds], 1e-3);
    const b = await twice.step([feeds, feeds], 1e-3);
    expect(b.loss).toBeCloseTo(a.loss, 6);
    expect(b.gradNorm).toBeCloseTo(a.gradNorm, 5);
  });
});

test('SigLIP, Qwen2: loss, and the gradient of one weight of each kind', async () => {
  const golden = openTraining('backbone');
  const model = openGolden('llava-siglip-qwen2');
  const config = model.config as LlavaConfig;
  const feeds = llavaFeeds(golden, config.imageTokenId);
  const weights = readWeights(model.folder, LLAVA_NAMES);
  expectGradients(await lossAndGradients(llavaObjective(config), golden.gradients, weights, feeds), golden);
});

test('clip: loss and every gradient', async () => {
  const golden = openTraining('clip');
  const model = openGolden('clip');
  const config = model.config as ClipConfig;
  const ids = model.tensor('pairs.input_ids');
  const [count, tokens] = ids.shape as [number, number];
  const feeds = {
    pixels: model.tensor('pairs.pixel_values'),
    ids,
    lastToken: i64Tensor(
      [count],
      Array.from({ length: count }, (_, n) => {
        const row = Array.from(ids.data.slice(n * tokens, (n + 1) * tokens), Number);
        return n * tokens + row.indexOf(config.text.eosTokenId);
      }),
    ),
    groups: i64Tensor([count], [...Array(count).keys()]),
  };
  const weights = readWeights(model.folder, CLIP_NAMES);
  expectGradients(await lossAndGradients(clipObjective(config), golden.gradients, weights, feeds), golden);
});
