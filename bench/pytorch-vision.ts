/**
 * @file The vision tower of LLaVA-1.5, ViT-L/14 at 336 pixels, on one picture, against PyTorch's (transformers' CLIPVisionModel
 * with scaled dot-product attention) in f32 and in bf16: the same random weights, all blocks, the same threads.
 */

import type { JsonObject, WeightFormat } from '../src/models/index.ts';
import { agreementRow, cosine } from './agreement.ts';
import { inForm, llama7b, modelName, syntheticModel, vitLarge } from './models.ts';
import { NumberFiles, readNumbers } from './numbers.ts';
import type { Bench, BenchOptions } from './options.ts';
import { describePython } from './project.ts';
import { alternate, progress, type Row, row } from './rows.ts';
import { Worker } from './worker.ts';

const THREADS = 2;
const LAYERS = 24;
/** Least cosine of features with PyTorch's in f32. */
const LEAST: Readonly<Record<string, number>> = { float: 0.999999, w8a16: 0.999, w8a8: 0.99 };
const DTYPES = ['f32', 'bf16'] as const;

export const bench: Bench = {
  parts: Object.keys(LEAST),
  peer: () => describePython(['torch', 'transformers']),
  rows,
};

/** A LLaVA with the tower, and as little else as can be. */
function towerJson(layers: number, isSmoke: boolean): JsonObject {
  return {
    model_type: 'llava',
    vision_config: vitLarge({ layers, isSmoke }),
    text_config: llama7b({ layers: 1, isSmoke: true }),
    vision_feature_layer: -1,
    vision_feature_select_strategy: 'full',
    image_token_index: 4000,
    projector_hidden_act: 'gelu',
  };
}

async function* rows(part: string, { n, isSmoke, layers = isSmoke ? 2 : LAYERS }: BenchOptions): AsyncGenerator<Row> {
  const json = towerJson(layers, isSmoke);
  const folder = await syntheticModel(modelName('vit-l-14-336', { layers, isSmoke }), json);
  const side = (json.vision_config as { image_size: number }).image_size;
  using files = new NumberFiles();
  const picture = { pixels: files.randomPixels([1, 3, side, side]), shape: [1, 3, side, side] };
  const format = part as WeightFormat;
  await using ours = Worker.node('worker-ours-image');
  await ours.call('loadTower', { folder: await inForm(folder, format), threads: THREADS });
  await using f32 = Worker.python('bench_peer.py', []);
  await using bf16 = Worker.python('bench_peer.py', []);
  for (const [i, peer] of [f32, bf16].entries()) {
    await peer.call('load', { folder, dtype: DTYPES[i], threads: THREADS });
  }
  const name = `${format}: ViT-L/14-336`;
  yield* alikeness(name, LEAST[format]!, files, picture, { ours, f32, bf16 });
  progress(`${name}, one picture: ours, f32, bf16`);
  const times = await alternate(
    [ours, f32, bf16].map(worker => () => worker.call('look', picture)),
    n,
  );
  for (const [i, dtype] of DTYPES.entries()) {
    const parts = { name: `${name}, one picture`, ours: times[0]!, peer: times[i + 1]! };
    yield row({ ...parts, peerName: `PyTorch ${dtype}`, unit: 'ms', n });
  }
}

type Sides = Readonly<Record<'ours' | 'f32' | 'bf16', Worker>>;

/** Cosine of our features with PyTorch's in f32, beside that of its own in bf16. */
async function* alikeness(name: string, least: number, files: NumberFiles, picture: object, sides: Sides) {
  const features: Record<string, Float32Array> = {};
  for (const [side, worker] of Object.entries(sides)) {
    await worker.call('look', { ...picture, output: files.path(side) });
    features[side] = readNumbers(files.path(side));
  }
  const [mine, theirs] = [cosine(features.ours!, features.f32!), cosine(features.bf16!, features.f32!)];
  const parts = { name: `${name}, features' cosine with PyTorch f32`, ours: mine, peer: theirs };
  yield agreementRow({ ...parts, peerName: 'PyTorch bf16', unit: 'cosine' }, least);
}
