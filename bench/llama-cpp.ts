/**
 * @file Against llama.cpp, through the npm package node-llama-cpp: the same random weights of LLaMA-7B's shapes, the same number
 * of bits, the same threads. Reading prompts of 640 and 2,880 tokens, writing after 640, and the memory that both took.
 */

import type { WeightFormat } from '../src/models/index.ts';
import { checkLogits, LanguageSide, memoryRow, type Pair, reading, writing } from './language-side.ts';
import { LLAMA_CPP } from './llama-cpp-package.ts';
import { asGguf, inForm, llama7b, modelName, syntheticModel } from './models.ts';
import type { Bench, BenchOptions } from './options.ts';
import { describePeer } from './project.ts';
import { type Row, race } from './rows.ts';

const THREADS = 2;
const LAYERS = 8;
const PROMPTS = [640, 2880];
const ROOM = 320;

type GgufForm = 'q8_0' | 'q4_0';

/** Forms to compare, and how alike their logits must be: forms that round differently are not the same, other weights nothing alike. */
const PAIRS: Readonly<Record<string, readonly [WeightFormat, GgufForm, least: number]>> = {
  'w8a8/q8_0': ['w8a8', 'q8_0', 0.9],
  'w8a16/q8_0': ['w8a16', 'q8_0', 0.9],
  'w8a8/q4_0': ['w8a8', 'q4_0', 0.5],
  'int4/q4_0': ['int4', 'q4_0', 0.5],
};

export const bench: Bench = {
  parts: Object.keys(PAIRS),
  peer: async () => describePeer(LLAMA_CPP),
  rows,
};

async function* rows(part: string, options: BenchOptions): AsyncGenerator<Row> {
  const { n, isSmoke, layers = isSmoke ? 2 : LAYERS, prompts = isSmoke ? [32] : PROMPTS } = options;
  const [format, form, least] = PAIRS[part]!;
  const folder = await syntheticModel(modelName('llama-7b', { layers, isSmoke }), llama7b({ layers, isSmoke }));
  const contextSize = Math.max(...prompts) + ROOM;
  const modelPath = await asGguf(folder, form);
  await using ours = await LanguageSide.load('worker-ours', { folder: await inForm(folder, format), threads: THREADS });
  await using peer = await LanguageSide.load('worker-llama-cpp', { modelPath, threads: THREADS, contextSize });
  const pair: Pair = { name: format, peerName: `llama.cpp ${form.toUpperCase()}`, ours, peer };
  yield await checkLogits(pair, least);
  for (const tokens of prompts) yield await race(reading(pair, tokens), n);
  yield await race(writing(pair, prompts[0]!), n);
  yield await memoryRow(pair);
}
