/**
 * @file What every decoder must keep: however a sequence is computed (at once, in chunks, token by token, after another,
 * beside another, in the training form), its logits are the same.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { f32Tensor, type HostTensor, hostTensor, i64Tensor, Rng } from '../../../src/core/index.ts';
import {
  type EncodableImage,
  encodableImage,
  type LlavaModel,
  loadModel,
  type Sequence,
  type SequenceContent,
} from '../../../src/engine/index.ts';
import { buildGraph, emitOnnx, input } from '../../../src/graph/index.ts';
import { decoderGraph, imageLayout, llavaForward, sequenceInputs } from '../../../src/models/index.ts';
import { Scope } from '../../../src/nn/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import { relativeError, TINY_CONFIG, temporaryFolder, tinyPixels, tinyWeights, writeTinyModel } from './tiny-model.ts';

const TOLERANCE = 1e-5;
const folder = temporaryFolder();
let model: LlavaModel;
let images: EncodableImage[];

beforeAll(async () => {
  await writeTinyModel(folder.path);
  model = await loadModel(folder.path, { threads: 1 });
  const layout = imageLayout(TINY_CONFIG, { width: 24, height: 24 });
  images = [1, 2].map(seed => encodableImage({ pixels: tinyPixels(seed), layout }));
});

afterAll(() => {
  model.dispose();
  folder[Symbol.dispose]();
});

const random = (length: number, seed: number) => {
  const rng = new Rng(seed);
  return Array.from({ length }, () => 5 + rng.int(300));
};

/** `length` positions with the images at the given starts. */
async function content(length: number, starts: readonly number[], seed = 7): Promise<SequenceContent> {
  const features = await model.encodeImages(images.slice(0, starts.length));
  return { ids: random(length, seed), images: starts.map((start, i) => ({ start, features: features[i]! })) };
}

/** The first `length` positions. */
function prefix({ ids, images: all }: SequenceContent, length: number): SequenceContent {
  return { ids: ids.slice(0, length), images: all.filter(({ start }) => start < length) };
}

async function fresh(wanted: SequenceContent): Promise<Float32Array> {
  using sequence = model.sequence(wanted.ids.length);
  return (await sequence.read(wanted)).slice();
}

describe('one sequence', () => {
  test('token by token equals at once, after every token', async () => {
    const wanted = await content(24, [2]);
    using sequence = model.sequence(24);
    await sequence.read(prefix(wanted, 11)); // up to the image's end
    for (let length = 12; length <= 24; length++) {
      const logits = await sequence.append(wanted.ids[length - 1]!);
      expect(relativeError(logits, await fresh(prefix(wanted, length)))).toBeLessThan(TOLERANCE);
    }
  });

  test('longer than a chunk, an image on the border, equals the decoder run at once', async () => {
    const wanted = await content(600, [40, 507]);
    expect(relativeError(await fresh(wanted), await atOnce(wanted))).toBeLessThan(TOLERANCE);
  });

  test('a cache that grew equals one that was large from the start', async () => {
    const wanted = await content(90, [3]);
    using sequence = model.sequence(1);
    await sequence.read(prefix(wanted, 60));
    for (const id of wanted.ids.slice(60)) await sequence.append(id);
    const logits = await sequence.append(9);
    expect(relativeError(logits, await fresh({ ...wanted, ids: [...wanted.ids, 9] }))).toBeLessThan(TOLERANCE);
  });
});

describe('a second reading computes only what is new', () => {
  const reuse = async (sequence: Sequence, next: SequenceContent, shared: number) => {
    expect(sequence.sharedLength(next)).toBe(shared);
    expect(relativeError(await sequence.read(next), await fresh(next))).toBeLessThan(TOLERANCE);
    expect(sequence.length).toBe(next.ids.length);
  };

  test('after the same beginning, after another ending, and for the same again', async () => {
    const wanted = await content(50, [4]);
    using sequence = model.sequence(50);
    await sequence.read(prefix(wanted, 30));
    await reuse(sequence, wanted, 30);
    const other = { ...wanted, ids: [...wanted.ids.slice(0, 20), ...random(15, 99)] };
    await reuse(sequence, other, 20);
    await reuse(sequence, other, 34); // the last position is computed anew, for its logits
    await reuse(sequence, prefix(other, 10), 9); // inside the image
  });

  test('another image at the same place is another beginning', async () => {
    const wanted = await content(40, [4, 20]);
    using sequence = model.sequence(40);
    await sequence.read(wanted);
    const [first, second] = wanted.images;
    const swapped = { ...wanted, images: [first!, { start: 20, features: first!.features }] };
    await reuse(sequence, swapped, 20);
    const both = { ...wanted, images: [{ start: 4, features: second!.features }, second!] };
    await reuse(sequence, both, 4);
  });
});

/** Logits of the last position by one run of the decoder over the whole sequence. */
async function atOnce(wanted: SequenceContent): Promise<ArrayLike<number>> {
  const [logits] = await runDecoder([wanted]);
  return logits!;
}

/** The decoder on a batch of sequences padded on the right: each one's logits at its last position. */
async function runDecoder(batch: readonly SequenceContent[]): Promise<Float32Array[]> {
  const { language } = TINY_CONFIG;
  const weights = tinyWeights();
  const graph = decoderGraph(language, 'language_model');
  using executable = await compile(emitOnnx(graph, ({ name }) => ({ kind: 'host', tensor: weights.get(name)! })));
  const lengths = batch.map(({ ids }) => ids.length);
  const tokens = Math.max(...lengths);
  const ids = batch.flatMap(row => [...row.ids, ...Array<number>(tokens - row.ids.length).fill(0)]);
  const source = ids.map((_, i) => i);
  const rows: number[] = [];
  for (const [b, { images: all }] of batch.entries()) {
    for (const { start, features } of all) {
      for (let m = 0; m < features.rows; m++) {
        source[b * tokens + start + m] = ids.length + rows.length / language.hiddenSize;
        rows.push(...features.data.subarray(m * language.hiddenSize, (m + 1) * language.hiddenSize));
      }
    }
  }
  const caches = graph.inputs.filter(({ name }) => name.startsWith('past.'));
  const shape = [batch.length, language.numKeyValueHeads, tokens, language.headDim];
  const feeds: Record<string, HostTensor> = {
    ids: i64Tensor([batch.length, tokens], ids),
    source: i64Tensor([batch.length, tokens], source),
    rows: i64Tensor(
      [batch.length],
      lengths.map((length, b) => b * tokens + length - 1),
    ),
    features: f32Tensor([rows.length / language.hiddenSize, language.hiddenSize], rows),
    lastPosition: hostTensor(
      'i32',
      [batch.length],
      Int32Array.from(lengths, length => length - 1),
    ),
    totalLength: hostTensor('i32', [], Int32Array.of(tokens)),
    ...Object.fromEntries(caches.map(({ name }) => [name, hostTensor('f32', shape)])),
  };
  const { logits } = await executable.run(feeds, { only: ['logits'] });
  const flat = logits!.read().data as Float32Array;
  return batch.map((_, b) => flat.subarray(b * language.vocabSize, (b + 1) * language.vocabSize));
}

test('in a batch of different lengths equals alone', async () => {
  const batch = [await content(30, [5], 1), await content(17, [], 2), await content(26, [0, 12], 3)];
  const together = await runDecoder(batch);
  for (const [b, wanted] of batch.entries()) {
    expect(relativeError(together[b]!, await fresh(wanted))).toBeLessThan(TOLERANCE);
  }
});

test('the training form gives the logits of vision and decoder', async () => {
  const wanted = await content(26, [2, 14]);
  const weights = tinyWeights();
  const pixels = input('pixels', 'f32', [2, 3, 24, 24]);
  const { logits } = llavaForward(new Scope(), pixels, sequenceInputs(1, 26), TINY_CONFIG);
  const onnx = emitOnnx(buildGraph({ logits }), ({ name }) => ({ kind: 'host', tensor: weights.get(name)! }));
  using executable = await compile(onnx);
  const source = Array.from({ length: 26 }, (_, i) => i);
  for (let m = 0; m < 9; m++) [source[2 + m], source[14 + m]] = [26 + m, 35 + m];
  const both = [...tinyPixels(1).data, ...tinyPixels(2).data] as number[];
  const result = await executable.run({
    pixels: f32Tensor([2, 3, 24, 24], both),
    ids: i64Tensor([1, 26], wanted.ids),
    source: i64Tensor([1, 26], source),
    rows: i64Tensor([1], [25]),
  });
  expect(relativeError(result.logits!.view() as Float32Array, await fresh(wanted))).toBeLessThan(TOLERANCE);
});
