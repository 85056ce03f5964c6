/**
 * @file Against llama.cpp, through the npm package node-llama-cpp: from the start of a process to the first token of a text prompt,
 * of a model that has been loaded before. Each run is a process of its own; the first of each side does not count.
 */

import type { WeightFormat } from '../src/models/index.ts';
import { randomIds } from './language-side.ts';
import { LLAMA_CPP } from './llama-cpp-package.ts';
import { asGguf, inForm, llama7b, modelName, syntheticModel } from './models.ts';
import type { Bench, BenchOptions } from './options.ts';
import { describePeer } from './project.ts';
import { type Row, race } from './rows.ts';
import { Worker } from './worker.ts';

const THREADS = 2;
const LAYERS = 8;
const PROMPT = 64;
/** Positions that the peer makes room for at the start; ours does when it reads. */
const CONTEXT = 512;

/** Forms with equally many bits a weight. */
const PAIRS: Readonly<Record<string, readonly [WeightFormat, 'q8_0' | 'q4_0']>> = {
  'w8a8/q8_0': ['w8a8', 'q8_0'],
  'int4/q4_0': ['int4', 'q4_0'],
};

export const bench: Bench = {
  parts: Object.keys(PAIRS),
  peer: async () => describePeer(LLAMA_CPP),
  rows,
};

async function* rows(part: string, { n, isSmoke, layers = isSmoke ? 2 : LAYERS }: BenchOptions): AsyncGenerator<Row> {
  const [format, form] = PAIRS[part]!;
  const folder = await syntheticModel(modelName('llama-7b', { layers, isSmoke }), llama7b({ layers, isSmoke }));
  const [own, modelPath] = [await inForm(folder, format), await asGguf(folder, form)];
  yield await race(
    {
      name: `${format}: start to first token`,
      peerName: `llama.cpp ${form.toUpperCase()}`,
      ours: () => start('worker-ours', { folder: own, threads: THREADS }),
      peer: () => start('worker-llama-cpp', { modelPath, threads: THREADS, contextSize: CONTEXT }),
    },
    n,
  );
}

/** Milliseconds until a new process has read a prompt; how long it takes to end does not count. */
async function start(name: string, load: object): Promise<number> {
  const began = performance.now();
  await using worker = Worker.node(name);
  await worker.call('load', load);
  await worker.call('read', { ids: randomIds(PROMPT) });
  return performance.now() - began;
}
