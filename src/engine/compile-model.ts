/**
 * @file From a model's files to what runs: the vision tower and the decoder as graphs, the graphs as ONNX, their weights named by
 * where they lie, all compiled at once. A large decoder is compiled in parts: packing its weights is what loading takes, and ONNX
 * Runtime packs those of one session on one thread.
 */

import { availableParallelism } from 'node:os';
import { dtypeSize, sizeOf } from '../core/index.ts';
import { emitOnnx, type Graph, inPrecision, type ParamSource, type Port, type Precision } from '../graph/index.ts';
import type { CacheType } from '../models/index.ts';
import {
  attentionLimit,
  type CompileOptions,
  chain,
  compile,
  type Device,
  type Executable,
  emitOptionsFor,
  type Program,
  releaseMappedFiles,
} from '../runtime/index.ts';
import { isStored } from '../weights/index.ts';
import { ImageCache, towerIdentity } from './image-cache.ts';
import { decoderPartGraphs, type ModelFolder, modelGraphs, paramSources } from './model-folder.ts';
import { spillComputed } from './spill.ts';

/** Weights from which a decoder is worth parting. */
const PARTED_BYTES = 2 ** 29;
/** More would wait in line: see the runtime's limit of calls at once. */
const MAX_PARTS = 3;

/** How a model is compiled. */
export interface CompileModelOptions {
  readonly threads?: number;
  readonly device?: Device;
  /** Default: f32 on the processor, f16 on other devices. */
  readonly precision?: Precision;
  /** Default: as the precision. */
  readonly kvCache?: CacheType;
  readonly imageCache?: string | boolean;
  /** Parts of the decoder. Default: one, or as many as there are threads, up to three, for a large one. */
  readonly parts?: number;
  /** Another model computes between the runs of this one: its threads then do not wait for the next run at full speed. */
  readonly alternates?: boolean;
  readonly signal?: AbortSignal;
}

/** What runs. */
export interface CompiledModel {
  readonly decoder: Program;
  /** Absent for a language model alone. */
  readonly vision: Executable | undefined;
  readonly imageCache: ImageCache | undefined;
  /** Tokens that one run of the decoder may have, where the device sets a limit. */
  readonly maxTokens: number | undefined;
}

/** Compiles all graphs at once. */
export async function compileModel(folder: ModelFolder, options: CompileModelOptions): Promise<CompiledModel> {
  const { signal, imageCache: cacheIn } = options;
  const { vision, parts } = graphsFor(folder, options);
  const graphs = vision ? [...parts, vision] : parts;
  paramSources(folder, graphs); // throws where weights are missing or misshapen, before any is computed
  const names = graphs.flatMap(graph => graph.params.map(({ name }) => name));
  await using spilled = await spillComputed(folder.weights, new Set(names), { signal });
  const source = paramSources({ ...folder, weights: spilled.weights }, graphs);
  const imageCache =
    cacheIn && vision
      ? await ImageCache.open(cacheIn, towerIdentity(vision, folder.weights, spilled.weights))
      : undefined;
  const maxTokens = await attentionLimit(options.device ?? 'cpu');
  const [tower, ...decoders] = await compileAll(vision, parts, source, options);
  releaseMappedFiles(
    new Set(
      names
        .map(name => spilled.weights.get(name)!)
        .filter(isStored)
        .map(({ file }) => file),
    ),
  );
  return { decoder: chain(decoders.map(part => part!)), vision: tower, imageCache, maxTokens };
}

/** The vision tower, if there is one, and the parts of the decoder, in the precision that the options say. */
function graphsFor(folder: ModelFolder, options: CompileModelOptions) {
  const { device = 'cpu' } = options;
  const { precision = device === 'cpu' ? 'f32' : 'f16', kvCache = precision } = options;
  const { decoder, vision } = modelGraphs(folder, undefined, kvCache);
  const count = options.parts ?? partCount(decoder, options);
  const parts = count === 1 ? [decoder] : decoderPartGraphs(folder, kvCache, count);
  return { vision: vision && inPrecision(vision, precision), parts: parts.map(part => inPrecision(part, precision)) };
}

/** Frees all of it. */
export function disposeCompiled({ decoder, vision }: CompiledModel): void {
  decoder.dispose();
  vision?.dispose();
}

/** The tower, if there is one, and the parts of the decoder. Where one fails, all are freed. */
async function compileAll(
  vision: Graph | undefined,
  parts: readonly Graph[],
  source: (param: Port) => ParamSource,
  { threads, device, alternates = parts.length > 1 }: CompileModelOptions,
): Promise<(Executable | undefined)[]> {
  const given = { ...(threads !== undefined && { threads }), ...(device && { device }) };
  const build = async (graph: Graph, options: CompileOptions) =>
    compile(emitOnnx(graph, source, emitOptionsFor(device ?? 'cpu')), { ...given, ...options });
  const results = await Promise.allSettled([
    vision && build(vision, { name: 'vision' }),
    ...parts.map(part => build(part, { name: 'decoder', spinning: alternates ? 'run' : true })),
  ]);
  const failure = results.find(result => result.status === 'rejected');
  const made = results.map(result => (result.status === 'fulfilled' ? result.value : undefined));
  if (!failure) return made;
  for (const executable of made) executable?.dispose();
  throw failure.reason;
}

/** Only the processor packs weights; other devices would pass each part's result through its memory. */
function partCount(decoder: Graph, { device = 'cpu', threads = availableParallelism() }: CompileModelOptions): number {
  if (device !== 'cpu') return 1;
  const bytes = decoder.params.reduce(
    (sum, { dtype, shape }) => sum + sizeOf(shape as readonly number[]) * dtypeSize(dtype),
    0,
  );
  return bytes < PARTED_BYTES ? 1 : Math.min(threads, MAX_PARTS);
}
