/**
 * @file How much of what this machine can read per second writing uses: bytes of weights and of keys and values that a token
 * takes, per second, beside the fastest of some operations of ONNX Runtime that do nothing but read.
 */

import { dtypeSize, f32Tensor, sizeOf } from '../src/core/index.ts';
import { timed } from '../src/engine/index.ts';
import { modelGraphs, openModelFolder } from '../src/engine/model-folder.ts';
import { buildGraph, emitOnnx, type Graph, input, matMul, reduceMax, reduceSum } from '../src/graph/index.ts';
import type { WeightFormat } from '../src/models/index.ts';
import { compile, DeviceTensor, type Executable } from '../src/runtime/index.ts';
import { LanguageSide, randomIds } from './language-side.ts';
import { inForm, llama7b, modelName, syntheticModel } from './models.ts';
import type { Bench, BenchOptions } from './options.ts';
import { alternate, progress, type Row, row } from './rows.ts';

const THREADS = 2;
const LAYERS = 8;
const PAST = 640;
const WRITTEN = 24;

export const bench: Bench = {
  parts: ['w8a8', 'w8a16', 'int4'],
  peer: async () => "the machine's memory, read by ONNX Runtime on two threads",
  rows,
};

async function* rows(part: string, options: BenchOptions): AsyncGenerator<Row> {
  const { n, isSmoke, layers = isSmoke ? 2 : LAYERS, prompts = [PAST] } = options;
  const shape = { layers, isSmoke };
  const float = await syntheticModel(modelName('llama-7b', shape), llama7b(shape));
  const folder = await inForm(float, part as WeightFormat);
  await using ours = await LanguageSide.load('worker-ours', { folder, threads: THREADS });
  using reader = await MemoryReader.make(isSmoke ? 2 ** 22 : 2 ** 31);
  for (const past of prompts) {
    const ids = randomIds(past);
    const write = async () => (await ours.write(ids, WRITTEN)).ms;
    progress(`${part}: writing after ${past}; ${reader.names.join(', ')}`);
    const [token, ...reads] = await alternate([write, ...reader.runs], n);
    const name = `${part}: bytes read while writing after ${past} tokens`;
    const peer = reader.bytes / Math.min(...reads) / 1e6;
    const bytes = bytesOfToken(folder, past + WRITTEN / 2);
    yield row({ name, ours: bytes / token! / 1e6, peer, peerName: reader.fastest(reads), unit: 'GB/s', n });
  }
}

/** All weights but the table of embeddings, of which one row is read, and all keys and values of `past` positions. */
export function bytesOfToken(folder: string, past: number): number {
  const files = openModelFolder(folder);
  const { numHiddenLayers, numKeyValueHeads, headDim } = files.language;
  const { params } = modelGraphs(files).decoder;
  const isTable = (name: string) =>
    name.endsWith('embed_tokens.weight') && params.some(param => /lm_head\.weight/.test(param.name));
  const read = params.filter(({ name }) => !isTable(name));
  const weights = read.reduce(
    (sum, { dtype, shape }) => sum + sizeOf(shape as readonly number[]) * dtypeSize(dtype),
    0,
  );
  return weights + 2 * 4 * numHiddenLayers * numKeyValueHeads * headDim * past;
}

const COLUMNS = 4096;

/** Ways to read a large matrix. A row times the matrix reads it in the order in which a linear layer of f32 would. */
function readers(rows: number): Readonly<Record<string, Graph>> {
  const matrix = () => input('matrix', 'f32', [rows, COLUMNS]);
  return {
    'sum of all': buildGraph({ result: reduceSum(matrix(), [0, 1]) }),
    'sum of each row': buildGraph({ result: reduceSum(matrix(), [1]) }),
    'largest of each row': buildGraph({ result: reduceMax(matrix(), [1]) }),
    'matrix times vector': buildGraph({ result: matMul(matrix(), input('vector', 'f32', [COLUMNS, 1])) }),
  };
}

/** Reads memory in several ways, as often as wanted. */
class MemoryReader implements Disposable {
  readonly bytes: number;
  readonly #matrix: DeviceTensor;
  readonly #vector = DeviceTensor.over(f32Tensor([COLUMNS, 1], new Float32Array(COLUMNS)));
  readonly #ways = new Map<string, Executable>();

  private constructor(rows: number) {
    this.bytes = 4 * rows * COLUMNS;
    this.#matrix = DeviceTensor.allocate('f32', [rows, COLUMNS]);
    (this.#matrix.view() as Float32Array).fill(1); // pages that nobody has written to are all one page of zeros
  }

  /** @param bytes of the matrix: many times what the caches hold */
  static async make(bytes: number): Promise<MemoryReader> {
    const rows = bytes / 4 / COLUMNS;
    const reader = new MemoryReader(rows);
    for (const [name, graph] of Object.entries(readers(rows))) {
      const model = emitOnnx(graph, () => ({ kind: 'input' }));
      reader.#ways.set(name, await compile(model, { name, threads: THREADS }));
    }
    return reader;
  }

  get names(): string[] {
    return [...this.#ways.keys()];
  }

  get runs(): (() => Promise<number>)[] {
    return Array.from(this.#ways.values(), way => () => timed(() => this.#read(way)));
  }

  /** Name of the way that took least time. */
  fastest(times: readonly number[]): string {
    return `memory, ${this.names[times.indexOf(Math.min(...times))]}`;
  }

  async #read(way: Executable): Promise<void> {
    const hasVector = way.inputs.some(({ name }) => name === 'vector');
    const outputs = await way.run({ matrix: this.#matrix, ...(hasVector && { vector: this.#vector }) });
    for (const output of Object.values(outputs)) output.dispose();
  }

  [Symbol.dispose](): void {
    for (const way of this.#ways.values()) way.dispose();
    this.#matrix.dispose();
    this.#vector.dispose();
  }
}
