/** @file The linear layers of a model, and the form that a plan gives each of them. */

import { LlavaError, nearestName } from '../../core/index.ts';
import type { Graph } from '../../graph/index.ts';
import { type FormatPlan, fitsFormat, formatPlan, type Quantization, type WeightFormat } from '../../models/index.ts';
import { type ModelFolder, modelGraphs } from '../model-folder.ts';

/** A linear layer of a model. */
export interface LinearLayer {
  /** Its path in our names, e.g. `language_model.model.layers.0.mlp.up_proj`. */
  readonly path: string;
  /** The weight [outputs, inputs]; a tied head's is the embedding. */
  readonly weight: string;
  readonly outputs: number;
  readonly inputs: number;
}

/** The linear layers of a model, in the order of the graphs. */
export function linearLayers(folder: ModelFolder): LinearLayer[] {
  const paths = new Set<string>();
  const graphs = graphsOf(folder, path => {
    paths.add(path);
    return 'float';
  });
  const shapes = new Map(graphs.flatMap(graph => graph.params).map(({ name, shape }) => [name, shape]));
  return Array.from(paths, path => {
    const own = `${path}.weight`;
    const weight = shapes.has(own) ? own : path.replace(/lm_head$/, 'model.embed_tokens.weight');
    const [outputs, inputs] = shapes.get(weight) as [number, number];
    return { path, weight, outputs, inputs };
  });
}

/** Form of each layer: that of the plan where the layer's size allows it, else float. */
export function resolveFormats(layers: readonly LinearLayer[], quantization: Quantization): Map<string, WeightFormat> {
  const plan = formatPlan(quantization);
  for (const [pattern] of quantization.exceptions) {
    const alone = formatPlan({ format: 'float', exceptions: [[pattern, 'w8a8']] });
    if (layers.some(({ path }) => alone(path) !== 'float')) continue;
    const nearest = nearestName(
      pattern,
      layers.map(layer => layer.path),
    );
    throw new LlavaError(`quantization: expected a layer of the model, got ${pattern} (nearest: ${nearest ?? 'none'})`);
  }
  return new Map(
    layers.map(({ path, inputs }) => [path, fitsFormat(plan(path), inputs) ? plan(path) : 'float'] as const),
  );
}

/** The graphs of a model's parts, with the layers in the forms of `plan`. */
export function graphsOf(folder: ModelFolder, plan?: FormatPlan): Graph[] {
  const { decoder, vision } = modelGraphs(folder, plan);
  return vision ? [decoder, vision] : [decoder];
}
