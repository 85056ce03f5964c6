/** @file A worker that runs a GGUF file with llama.cpp, through the npm package node-llama-cpp. */

import { median, timed } from '../src/engine/index.ts';
import { LLAMA_CPP } from './llama-cpp-package.ts';
import { importPeer } from './project.ts';
import { memory, serve } from './serve.ts';

interface Ids {
  readonly ids: readonly number[];
}

interface Options {
  readonly temperature: number;
  readonly yieldEogToken: boolean;
}

/** The part of node-llama-cpp that is used here. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
    }>;
  }>;
}

interface LlamaSequence {
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  evaluate(tokens: readonly number[], options: Options): AsyncIterable<number>;
  evaluateWithMetadata(
    tokens: readonly number[],
    metadata: { readonly probabilities: true },
    options: Options,
  ): AsyncIterable<{ readonly probabilities: ReadonlyMap<number, number> }>;
  clearHistory(): Promise<void>;
}

const GREEDY: Options = { temperature: 0, yieldEogToken: true };

let sequence: LlamaSequence;

interface LoadArgs {
  readonly modelPath: string;
  readonly threads: number;
  readonly contextSize: number;
}

async function load({ modelPath, threads, contextSize }: LoadArgs): Promise<void> {
  const { getLlama } = await importPeer<NodeLlamaCpp>(LLAMA_CPP);
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    maxThreads: threads,
    progressLogs: false,
    logLevel: 'error',
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({ contextSize, threads, batchSize: 512 });
  sequence = context.getSequence();
}

async function read({ ids }: Ids): Promise<number> {
  await sequence.clearHistory();
  return await timed(() => sequence.evaluateWithoutGeneratingNewTokens(ids));
}

/** Log-probabilities by token; infinite ones are null in JSON. */
async function logits({ ids }: Ids): Promise<number[]> {
  await sequence.clearHistory();
  for await (const { probabilities } of sequence.evaluateWithMetadata(ids, { probabilities: true }, GREEDY)) {
    const values: number[] = [];
    for (const [id, probability] of probabilities) values[id] = Math.log(probability);
    return Array.from(values, value => value ?? Number.NaN);
  }
  return [];
}

async function write({ ids, count }: Ids & { readonly count: number }) {
  await sequence.clearHistory();
  const written: number[] = [];
  const times: number[] = [];
  let last = 0;
  for await (const id of sequence.evaluate(ids, GREEDY)) {
    const now = performance.now();
    if (written.length > 0) times.push(now - last); // the first comes with the prompt
    written.push(id);
    last = now;
    if (written.length > count) break;
  }
  return { ms: median(times), ids: written };
}

await serve({ load, read, logits, write, memory });
