/** @file A worker that runs a language model of ours. */

import { generateTokens, type LlavaModel, loadModel, median, type Sequence, timed } from '../src/engine/index.ts';
import { memory, serve } from './serve.ts';

interface Ids {
  readonly ids: readonly number[];
}

let model: LlavaModel;

async function load({ folder, threads }: { readonly folder: string; readonly threads: number }): Promise<void> {
  model = await loadModel(folder, { threads });
}

async function read({ ids }: Ids): Promise<number> {
  using sequence = model.sequence(ids.length);
  return await timed(() => sequence.read({ ids, images: [] }));
}

async function logits({ ids }: Ids): Promise<number[]> {
  using sequence = model.sequence(ids.length);
  return [...(await sequence.read({ ids, images: [] }))];
}

async function write({ ids, count }: Ids & { readonly count: number }) {
  using sequence = model.sequence(ids.length + count);
  return await writeTokens(sequence, ids, count);
}

/** The likeliest tokens, the end token as any other; time from one to the next. */
async function writeTokens(sequence: Sequence, ids: readonly number[], count: number) {
  const first = await sequence.read({ ids, images: [] });
  const written: number[] = [];
  const times: number[] = [];
  let last = performance.now();
  for await (const id of generateTokens(sequence, first, new Set(), ids, { maxTokens: count + 1 })) {
    const now = performance.now();
    if (written.length > 0) times.push(now - last); // the first is there already
    written.push(id);
    last = now;
  }
  return { ms: median(times), ids: written };
}

await serve({ load, read, logits, write, memory });
