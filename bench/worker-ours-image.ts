/** @file A worker that runs ours on pictures: the vision tower alone, or a whole LLaVA to its first token. */

import { writeFileSync } from 'node:fs';
import { type HostTensor, hostTensor } from '../src/core/index.ts';
import { encodableImage, type LlavaModel, loadModel, timed } from '../src/engine/index.ts';
import { modelGraphs, openModelFolder, paramSources } from '../src/engine/model-folder.ts';
import { buildGraph, dim, emitOnnx, input } from '../src/graph/index.ts';
import { formatPlan, imageLayout, type LlavaConfig, selectedFeatures } from '../src/models/index.ts';
import { Scope } from '../src/nn/index.ts';
import { compile, DeviceTensor, type Executable } from '../src/runtime/index.ts';
import { readNumbers } from './numbers.ts';
import { memory, serve } from './serve.ts';

interface Source {
  readonly folder: string;
  readonly threads: number;
}

interface Pixels {
  /** A file of f32. */
  readonly pixels: string;
  readonly shape: readonly number[];
  /** File for what comes out. */
  readonly output?: string;
}

let tower: Executable;
let model: LlavaModel;

/** The tower of a LLaVA without its projector, in the form that the folder says. */
async function loadTower({ folder, threads }: Source): Promise<void> {
  const files = openModelFolder(folder);
  const config = files.config as LlavaConfig;
  const side = config.vision.imageSize;
  const pixels = input('pixels', 'f32', [dim('N'), 3, side, side]);
  const scope = new Scope('', files.quantization && formatPlan(files.quantization));
  const graph = buildGraph({ features: selectedFeatures(scope, pixels, config) });
  const { decoder, vision } = modelGraphs(files);
  tower = await compile(emitOnnx(graph, paramSources(files, [decoder, vision!])), { threads });
}

async function look({ pixels, shape, output }: Pixels): Promise<number> {
  using tensor = DeviceTensor.over(hostTensor('f32', shape, readNumbers(pixels)));
  let result: Record<string, DeviceTensor> = {};
  const ms = await timed(async () => {
    result = await tower.run({ pixels: tensor });
  });
  using features = result.features!;
  if (output) writeFileSync(output, features.view());
  return ms;
}

async function load({ folder, threads }: Source): Promise<void> {
  model = await loadModel(folder, { threads });
}

let run = 0;

/** From pixels and `ids`, with any id at the picture's positions from `start` on, to the last position's logits. */
async function firstToken(args: Pixels & FirstTokenArgs): Promise<number> {
  const layout = imageLayout(model.config as LlavaConfig, args.size);
  const pixels: HostTensor = hostTensor('f32', args.shape, readNumbers(args.pixels));
  const image = { ...encodableImage({ pixels, layout }), key: `run ${run++}` }; // no run is answered from memory
  let logits: Float32Array | undefined;
  const ms = await timed(async () => {
    const [features] = await model.encodeImages([image]);
    using sequence = model.sequence(args.ids.length);
    logits = await sequence.read({ ids: args.ids, images: [{ start: args.start, features: features! }] });
  });
  if (args.output) writeFileSync(args.output, logits!);
  return ms;
}

interface FirstTokenArgs {
  readonly size: { readonly width: number; readonly height: number };
  readonly ids: readonly number[];
  readonly start: number;
}

await serve({ loadTower, look, load, firstToken, memory });
