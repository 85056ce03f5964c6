/**
 * @file llama.cpp itself: what we write it loads, tokenises and continues as we do; what it quantised we read. Peers and the
 * real model are fetched on demand; where they cannot be had the tests say so and are skipped.
 */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  encodableImage,
  type LlavaModel,
  loadModel,
  openModelFolder,
  writeGgufPair,
} from '../../../src/engine/index.ts';
import { readImage } from '../../../src/processor/index.ts';
import { greedy, indexOfLargest } from '../../tiny/gguf/helpers.ts';
import { temporaryFolder } from '../../tiny/weights/helpers.ts';
import { smolLm } from '../smollm2.ts';
import { askAboutPicture, askLlamaCpp, installPeers } from './peers.ts';

const END_TO_END = join(import.meta.dirname, '../../golden/models/end-to-end');
/** Without special tokens: llama.cpp puts a space after each, this tokenizer does not. */
const TEXTS = ['USER: what is in the picture? ASSISTANT:', 'a  b\n\nc', 'grüße 数 😀', ' ', '.'];
const PROMPT = 'USER: what is in the picture? ASSISTANT:';

const missing = installPeers();
if (missing) console.warn(`llama.cpp is not compared with: ${missing}`);

/** Largest difference of log-probabilities, ours against the peer's. */
function largestDifference(logits: Float32Array, peer: ReadonlyMap<number, number>): number {
  const largest = logits[indexOfLargest(logits)]!;
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  const ours = (id: number): number => logits[id]! - largest - Math.log(sum);
  return Math.max(...[...peer].map(([id, value]) => Math.abs(value - ours(id))));
}

describe.skipIf(missing)('a tiny Llama that we wrote', () => {
  test.each([
    ['f32', 1e-4],
    ['f16', 2e-2], // llama.cpp rounds what f16 matrices multiply to f16
  ] as const)('%s: tokens, log-probabilities and 40 greedy tokens', async (dtype, tolerance) => {
    const folder = temporaryFolder();
    const { language } = await writeGgufPair(openModelFolder(END_TO_END), folder, { dtype });
    using model = await loadModel(language, { template: 'vicuna_v1' });
    const { tokenizer } = model.processor;
    const ids = tokenizer.encode(PROMPT);
    const peer = await askLlamaCpp(language, TEXTS, ids, 40);
    expect(peer.tokens).toEqual(TEXTS.map(text => tokenizer.encode(text, { addBos: false })));
    const ours = await greedy(model, { ids, images: [] }, 40);
    expect(largestDifference(ours.logits, peer.answer.logProbabilities)).toBeLessThan(tolerance);
    if (dtype === 'f32') expect(peer.answer.greedy).toEqual(ours.ids);
  });

  test('q8_0 and q4_0 load there, and what comes out is near', async () => {
    for (const [dtype, tolerance] of [
      ['q8_0', 0.5],
      ['q4_0', 3],
    ] as const) {
      const { language } = await writeGgufPair(openModelFolder(END_TO_END), temporaryFolder(), { dtype });
      using model = await loadModel(language, { template: 'vicuna_v1' });
      const ids = model.processor.tokenizer.encode(PROMPT);
      const { answer } = await askLlamaCpp(language, [], ids, 1);
      const ours = await greedy(model, { ids, images: [] }, 1);
      expect(largestDifference(ours.logits, answer.logProbabilities)).toBeLessThan(tolerance);
    }
  });
});

describe.skipIf(missing)('a tiny LLaVA that we wrote', () => {
  test('its picture is read there as here, as far as the margins are wide', async () => {
    const { language, vision } = await writeGgufPair(openModelFolder(END_TO_END), temporaryFolder(), { dtype: 'f32' });
    const image = join(END_TO_END, 'image.png');
    const peer = await askAboutPicture(language, vision!, 'USER: <__media__>\nWhat ASSISTANT:', image, 16);
    expect(peer.isLoaded).toBe(true);
    using model = await loadModel(language, { mmproj: vision!, template: 'v1' });
    const sure = await surePart(model, image);
    expect(sure.length).toBeGreaterThanOrEqual(4);
    expect(peer.text.startsWith(model.processor.tokenizer.decode(sure))).toBe(true);
  });
});

/** Greedy tokens up to the first that another has nearly the logit of: llama.cpp's GELU is an approximation, from a table. */
async function surePart(model: LlavaModel, image: string): Promise<number[]> {
  const { tokenizer } = model.processor;
  const [features] = await model.encodeImages([encodableImage(await readImage(model.processor, image))]);
  const before = tokenizer.encode('USER: ');
  const after = tokenizer.encode('\nWhat ASSISTANT:', { addBos: false });
  const ids = [...before, ...Array<number>(features!.rows).fill(0), ...after];
  using sequence = model.sequence(ids.length + 16);
  let logits = await sequence.read({ ids, images: [{ start: before.length, features: features! }] });
  const sure: number[] = [];
  while (sure.length < 16) {
    const [first = 0, second = 0] = [...logits].sort((a, b) => b - a);
    if (first - second < 0.25) break;
    sure.push(indexOfLargest(logits));
    logits = await sequence.append(sure.at(-1)!);
  }
  return sure;
}

const smol = missing ? undefined : smolLm();

test.skipIf(!smol)('SmolLM2-135M, quantised by llama.cpp: the same tokens and nearly the same answer', async () => {
  using model = await loadModel(smol!, { template: 'chatml_direct' });
  const { tokenizer } = model.processor;
  const ids = tokenizer.encode('The capital of France is');
  const texts = [
    'The capital of France is',
    'x = 12345;\n\tif (x) { y }',
    "I'll don't  grüße 数 😀",
    '<|im_start|>user\nhi<|im_end|>',
  ];
  const peer = await askLlamaCpp(smol!, texts, ids, 16);
  expect(peer.tokens).toEqual(texts.map(text => tokenizer.encode(text)));
  const ours = await greedy(model, { ids, images: [] }, 16);
  // llama.cpp multiplies with activations in 8 bits: the likeliest tokens agree, their probabilities nearly.
  expect(ours.ids.slice(0, 8)).toEqual(peer.answer.greedy.slice(0, 8));
  expect(tokenizer.decode(ours.ids)).toMatch(/^ Paris/);
});
