/**
 * @file Writing with a small Llama, SmolLM2-135M's shape with random weights, against transformers.js 4 on onnxruntime-node: the same
 * runtime, the same weights and arithmetic, the same threads. Its files are made by us, with fused attention, which is better
 * than what its own exporter makes.
 */

import { LlavaError } from '../src/core/index.ts';
import type { WeightFormat } from '../src/models/index.ts';
import { checkLogits, LanguageSide, memoryRow, type Pair, randomIds, writing } from './language-side.ts';
import { inForm, modelName, smolLm2, syntheticModel } from './models.ts';
import type { Bench, BenchOptions } from './options.ts';
import { describePeer } from './project.ts';
import { progress, type Row, race } from './rows.ts';
import { writeTransformersJs } from './transformers-js-files.ts';
import { TRANSFORMERS_JS } from './transformers-js-package.ts';

const THREADS = 2;
const LAYERS = 30;
const PROMPTS = [64, 512];

/** Our form; the peer's dtype, the form that its file is written in and that file's suffix; least correlation of the logits. */
type PairSpec = readonly [WeightFormat, dtype: string, WeightFormat, suffix: string, least: number];

/** Of the same bits, and ours against what the peer loads when it is told nothing (fp32). */
const PAIRS: Readonly<Record<string, PairSpec>> = {
  'f32/fp32': ['float', 'fp32', 'float', '', 0.99999],
  'w8a8/q8': ['w8a8', 'q8', 'w8a8', '_quantized', 0.999],
  'int4/q4': ['int4', 'q4', 'int4', '_q4', 0.999],
  'w8a8/fp32': ['w8a8', 'fp32', 'float', '', 0.9],
  'int4/fp32': ['int4', 'fp32', 'float', '', 0.5],
};

export const bench: Bench = {
  parts: Object.keys(PAIRS),
  peer: async () => describePeer(TRANSFORMERS_JS),
  rows,
};

async function* rows(part: string, options: BenchOptions): AsyncGenerator<Row> {
  const { n, isSmoke, layers = isSmoke ? 2 : LAYERS, prompts = isSmoke ? [32] : PROMPTS } = options;
  const [format, dtype, peerForm, suffix, least] = PAIRS[part]!;
  const shape = { layers, isSmoke };
  const folder = await syntheticModel(modelName('smollm2-135m', shape), smolLm2(shape));
  const target = `${folder}-transformers-js-${dtype}`;
  await writeTransformersJs(await inForm(folder, peerForm), target, suffix);
  await using ours = await LanguageSide.load('worker-ours', { folder: await inForm(folder, format), threads: THREADS });
  await using peer = await LanguageSide.load('worker-transformers-js', { folder: target, dtype, threads: THREADS });
  const pair: Pair = { name: part.replace(/\/.*/, ''), peerName: `transformers.js ${dtype}`, ours, peer };
  yield await checkLogits(pair, least);
  if (format === peerForm) await checkTokens(pair);
  for (const tokens of prompts) yield await race(writing(pair, tokens), n);
  yield await memoryRow(pair);
}

const CHECKED = 32;

/** Throws where the likeliest tokens differ. */
async function checkTokens({ name, peerName, ours, peer }: Pair): Promise<void> {
  const ids = randomIds(CHECKED);
  const [mine, theirs] = [await ours.write(ids), await peer.write(ids)].map(written => written.ids.join());
  if (mine !== theirs) throw new LlavaError(`${name}: expected the tokens of ${peerName}, ${theirs}, got ${mine}`);
  progress(`${name}: the same ${mine!.split(',').length} tokens as ${peerName}`);
}
