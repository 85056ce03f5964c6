/** @file What the linear layers of a model read while it reads samples: block by block, with the floats of one block in memory. */

import { f32Tensor, type HostTensor, i64Tensor, sizeOf, throwIfAborted, toFloat32 } from '../../core/index.ts';
import { emitOnnx } from '../../graph/index.ts';
import { wholeGraph } from '../../models/index.ts';
import { compile } from '../../runtime/index.ts';
import { type ModelFolder, paramSources } from '../model-folder.ts';
import { inverseSize } from './input-root.ts';
import { graphsOf, linearLayers } from './layers.ts';
import { type Section, sectionsOf } from './sections.ts';

/** What a model reads at once: of a LLaVA a picture's tile, then a text. */
export interface CalibrationSample {
  /** Negative where a feature row of the tile stands. */
  readonly ids: readonly number[];
  /** f32 [1, 3, S, S]; absent for a language model alone. */
  readonly tile?: HostTensor;
}

/** Inputs that layers have in common. */
export interface LayerInput {
  /** Paths of the layers. */
  readonly paths: readonly string[];
  /** [..., K] of each sample. */
  readonly tensors: readonly HostTensor[];
  /** [R, K], some of them, spread over the samples. */
  readonly rows: HostTensor;
  /** Largest magnitude of each input, each row taken in units of its own root mean square: a few rows are far larger than others. */
  readonly peak: Float32Array;
  /** Mean square of each input, in the same units. */
  readonly power: Float32Array;
}

/** How the inputs are gathered. */
export interface LayerInputOptions {
  /** Sections read so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Rows that are kept of each input. */
const KEPT_ROWS = 192;

type Tensors = Record<string, HostTensor>;

/** The inputs of all layers, section after section. Samples are of one length, and all of them have a tile or none. */
export async function* layerInputs(
  folder: ModelFolder,
  samples: readonly CalibrationSample[],
  { onProgress, signal }: LayerInputOptions = {},
): AsyncGenerator<LayerInput> {
  const [first] = samples;
  const graph = wholeGraph(folder.config, first!.ids.length, first!.tile !== undefined);
  const sections = sectionsOf(graph, linearLayers(folder));
  const source = paramSources(folder, graphsOf(folder));
  const held = samples.map(firstTensors);
  for (const [i, section] of sections.entries()) {
    throwIfAborted(signal, 'calibrate');
    using executable = await compile(emitOnnx(section.graph, source), { name: `section ${i}`, prepack: false });
    const gathered = new Map(Array.from(section.reads.keys(), name => [name, [] as HostTensor[]]));
    for (const tensors of held) {
      const feeds = Object.fromEntries(section.graph.inputs.map(({ name }) => [name, tensors[name]!]));
      const outputs = await executable.run(feeds, { signal });
      for (const [name, tensor] of Object.entries(outputs)) {
        const value = tensor.read();
        tensor.dispose();
        if (gathered.has(name)) gathered.get(name)!.push(value);
        else tensors[name] = value; // the next block's input
      }
    }
    yield* inputsOf(section, gathered);
    onProgress?.(i + 1, sections.length);
  }
}

function firstTensors({ ids, tile }: CalibrationSample): Tensors {
  const text = i64Tensor(
    [1, ids.length],
    ids.map(id => Math.max(id, 0)),
  );
  const rows = Array.from(ids, (_, i) => i);
  return { ids: text, rows: i64Tensor([ids.length], rows), ...(tile && { pixels: tile, source: imageFirst(ids) }) };
}

/** Positions of negative ids take the feature rows in turn. */
function imageFirst(ids: readonly number[]): HostTensor {
  let row = 0;
  return i64Tensor(
    [1, ids.length],
    ids.map((id, i) => (id < 0 ? ids.length + row++ : i)),
  );
}

function* inputsOf({ reads }: Section, gathered: ReadonlyMap<string, HostTensor[]>): Generator<LayerInput> {
  for (const [name, paths] of reads) {
    const tensors = gathered.get(name)!;
    yield { paths, tensors, ...summary(tensors) };
  }
}

/** Rows of [..., K] tensors, spread evenly, and their columns' statistics. */
function summary(tensors: readonly HostTensor[]): Omit<LayerInput, 'paths' | 'tensors'> {
  const width = tensors[0]!.shape.at(-1)!;
  const [peak, power] = [new Float32Array(width), new Float64Array(width)];
  const count = tensors.reduce((sum, { shape }) => sum + sizeOf(shape) / width, 0);
  const kept = Math.min(count, KEPT_ROWS);
  const rows = new Float32Array(kept * width);
  let [row, next] = [0, 0];
  for (const tensor of tensors) {
    const data = toFloat32(tensor);
    for (let start = 0; start < data.length; start += width, row++) {
      const values = data.subarray(start, start + width);
      addRow(values, peak, power);
      if (next < kept && row >= (next * count) / kept) rows.set(values, width * next++);
    }
  }
  return { rows: f32Tensor([kept, width], rows), peak, power: Float32Array.from(power, sum => sum / count) };
}

function addRow(values: Float32Array, peak: Float32Array, power: Float64Array): void {
  const inverse = inverseSize(values);
  for (let k = 0; k < values.length; k++) {
    const value = Math.abs(values[k]!) * inverse;
    if (value > peak[k]!) peak[k] = value;
    power[k]! += value * value;
  }
}
