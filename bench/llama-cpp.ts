/**
 * @file Against llama.cpp, through the npm package node-llama-cpp: the same random weights of LLaMA-7B's shapes, the same number
 * of bits, the same threads. Reading prompts of 640 and 2,880 tokens, and writing after 640.
 *
 * node-llama-cpp is no dependency: install it where Node finds it, `npm install --no-save node-llama-cpp@3.22.1`.
 */

import { Rng } from '../src/core/index.ts';
import { type LlavaModel, loadModel, median, timed } from '../src/engine/index.ts';
import type { WeightFormat } from '../src/models/index.ts';
import { asGguf, inForm, llama7b, syntheticModel } from './models.ts';
import { type Contest, type Row, race } from './rows.ts';

const LAYERS = 8;
const THREADS = 2;
const PROMPTS = [640, 2880];
const WRITTEN = 24;

/** Forms with equally many bits a weight. */
const PAIRS: readonly (readonly [WeightFormat, 'q8_0' | 'q4_0'])[] = [
  ['w8a8', 'q8_0'],
  ['w8a16', 'q8_0'],
  ['w8a8', 'q4_0'],
  ['int4', 'q4_0'],
];

/** Does one thing once; returns the milliseconds that count. */
interface Runner extends AsyncDisposable {
  read(ids: readonly number[]): Promise<number>;
  /** Median of a token's time. */
  write(ids: readonly number[], count: number): Promise<number>;
}

/** All comparisons. `only` picks pairs such as `w8a8/q8_0`. */
export async function run(n: number, only?: string): Promise<Row[]> {
  const folder = await syntheticModel(`llama-7b-${LAYERS}-layers`, llama7b(LAYERS));
  const rows: Row[] = [];
  for (const [format, dtype] of PAIRS) {
    if (only && only !== `${format}/${dtype}`) continue;
    await using ours = ourRunner(await loadModel(await inForm(folder, format), { threads: THREADS }));
    await using peer = await llamaCppRunner(await asGguf(folder, dtype));
    for (const contest of contests(ours, peer, format, dtype)) rows.push(await race(contest, n));
  }
  return rows;
}

function contests(ours: Runner, peer: Runner, format: string, dtype: string): Contest[] {
  const peerName = `llama.cpp ${dtype.toUpperCase()}`;
  const reading = PROMPTS.map(tokens => {
    const ids = randomIds(tokens);
    const name = `${format}: read ${tokens} tokens`;
    return { name, peerName, ours: () => ours.read(ids), peer: () => peer.read(ids) };
  });
  const ids = randomIds(PROMPTS[0]!);
  const name = `${format}: write a token after ${PROMPTS[0]}`;
  return [...reading, { name, peerName, ours: () => ours.write(ids, WRITTEN), peer: () => peer.write(ids, WRITTEN) }];
}

function randomIds(count: number): number[] {
  const rng = new Rng(count);
  return Array.from({ length: count }, () => 300 + rng.int(1000));
}

function ourRunner(model: LlavaModel): Runner {
  return {
    async read(ids) {
      using sequence = model.sequence(ids.length);
      return await timed(() => sequence.read({ ids, images: [] }));
    },
    async write(ids, count) {
      using sequence = model.sequence(ids.length + count);
      await sequence.read({ ids, images: [] });
      const times: number[] = [];
      for (let i = 0; i < count; i++) times.push(await timed(() => sequence.append(300 + i)));
      return median(times);
    },
    [Symbol.asyncDispose]: async () => model.dispose(),
  };
}

/** The part of node-llama-cpp that is used here. */
interface LlamaSequence {
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  evaluate(tokens: readonly number[], options: { temperature: number }): AsyncGenerator<number>;
  clearHistory(): Promise<void>;
}

async function llamaCppRunner(modelPath: string): Promise<Runner> {
  const name = 'node-llama-cpp'; // not a literal in the import: the types need not be installed
  const { getLlama } = await import(name);
  const llama = await getLlama({ gpu: false, maxThreads: THREADS, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 3200, threads: THREADS, batchSize: 512 });
  const sequence: LlamaSequence = context.getSequence();
  return {
    async read(ids) {
      await sequence.clearHistory();
      return await timed(() => sequence.evaluateWithoutGeneratingNewTokens(ids));
    },
    async write(ids, count) {
      await sequence.clearHistory();
      await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, -1));
      const times: number[] = [];
      let last = performance.now();
      for await (const _ of sequence.evaluate(ids.slice(-1), { temperature: 0 })) {
        const now = performance.now();
        times.push(now - last);
        last = now;
        if (times.length === count) break;
      }
      return median(times);
    },
    [Symbol.asyncDispose]: async () => {
      await context.dispose();
      await model.dispose();
    },
  };
}
