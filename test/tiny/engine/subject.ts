/** @file A tiny model and what the contract test asks of it. Any configuration of a LLaVA with images of 24 pixels will do. */

import { f32Tensor, type HostTensor, hostTensor, i64Tensor, Rng } from '../../../src/core/index.ts';
import {
  type EncodableImage,
  encodableImage,
  type LlavaModel,
  loadModel,
  type Sequence,
  type SequenceContent,
} from '../../../src/engine/index.ts';
import { buildGraph, emitOnnx, type Graph, input } from '../../../src/graph/index.ts';
import {
  decoderGraph,
  hasDynamicRotation,
  imageLayout,
  type LlavaConfig,
  llavaForward,
  parseLlavaConfig,
  sequenceInputs,
} from '../../../src/models/index.ts';
import { Scope } from '../../../src/nn/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import {
  type TemporaryFolder,
  TINY_JSON,
  temporaryFolder,
  tinyPixels,
  tinyWeights,
  writeTinyModel,
} from './tiny-model.ts';

/** Token ids that depend on the seed. */
export function randomIds(length: number, seed: number): number[] {
  const rng = new Rng(seed);
  return Array.from({ length }, () => 5 + rng.int(300));
}

/** The first `length` positions. */
export function prefix({ ids, images }: SequenceContent, length: number): SequenceContent {
  return { ids: ids.slice(0, length), images: images.filter(({ start }) => start < length) };
}

/** A loaded model with its weights at hand. */
export class Subject implements Disposable {
  readonly config: LlavaConfig;
  readonly #folder: TemporaryFolder;
  readonly #model: LlavaModel;
  readonly #weights: ReadonlyMap<string, HostTensor>;
  readonly #images: readonly EncodableImage[];

  private constructor(
    config: LlavaConfig,
    folder: TemporaryFolder,
    model: LlavaModel,
    weights: ReadonlyMap<string, HostTensor>,
  ) {
    [this.config, this.#folder, this.#model, this.#weights] = [config, folder, model, weights];
    const layout = imageLayout(config, { width: 24, height: 24 });
    this.#images = [1, 2].map(seed => encodableImage({ pixels: tinyPixels(seed), layout }));
  }

  /** Of the tiny model with other keys in its config.json. */
  static async open(json: object): Promise<Subject> {
    const folder = temporaryFolder();
    const config = parseLlavaConfig({ ...TINY_JSON, ...json }, 'tiny');
    const weights = tinyWeights(config);
    await writeTinyModel(folder.path, { json, weights });
    return new Subject(config, folder, await loadModel(folder.path, { threads: 1 }), weights);
  }

  /** `length` positions with the images at the given starts. */
  async content(length: number, starts: readonly number[], seed = 7): Promise<SequenceContent> {
    const features = await this.#model.encodeImages(this.#images.slice(0, starts.length));
    const images = starts.map((start, i) => ({ start, features: features[i]! }));
    return { ids: randomIds(length, seed), images };
  }

  sequence(positions: number): Sequence {
    return this.#model.sequence(positions);
  }

  /** Logits of the last position, by a new sequence. */
  async fresh(wanted: SequenceContent): Promise<Float32Array> {
    using sequence = this.#model.sequence(wanted.ids.length);
    return (await sequence.read(wanted)).slice();
  }

  /** Logits of each sequence's last position, by one run of the decoder over a batch padded on the right. */
  async atOnce(batch: readonly SequenceContent[]): Promise<Float32Array[]> {
    const { vocabSize } = this.config.language;
    const graph = decoderGraph(this.config.language, 'language_model');
    using executable = await compile(this.#onnx(graph));
    const feeds = { ...batchFeeds(batch, this.config), ...emptyCaches(graph, batch, this.config) };
    const { logits } = await executable.run(feeds, { only: ['logits'] });
    const flat = logits!.read().data as Float32Array;
    return batch.map((_, b) => flat.subarray(b * vocabSize, (b + 1) * vocabSize));
  }

  /** Logits of the last position by the training form, the subject's images at `starts`. */
  async trainingForm(wanted: SequenceContent, starts: readonly number[]): Promise<Float32Array> {
    const { length } = wanted.ids;
    const pixels = input('pixels', 'f32', [2, 3, 24, 24]);
    const { logits } = llavaForward(new Scope(), pixels, sequenceInputs(1, length), this.config);
    using executable = await compile(this.#onnx(buildGraph({ logits })));
    const source = Array.from({ length }, (_, i) => i);
    const features = starts.flatMap(start => Array.from({ length: 9 }, (_, m) => start + m));
    for (const [m, position] of features.entries()) source[position] = length + m;
    const both = [...tinyPixels(1).data, ...tinyPixels(2).data] as number[];
    const result = await executable.run({
      pixels: f32Tensor([2, 3, 24, 24], both),
      ids: i64Tensor([1, length], wanted.ids),
      source: i64Tensor([1, length], source),
      rows: i64Tensor([1], [length - 1]),
    });
    return (result.logits!.view() as Float32Array).slice();
  }

  [Symbol.dispose](): void {
    this.#model.dispose();
    this.#folder[Symbol.dispose]();
  }

  #onnx(graph: Graph) {
    return emitOnnx(graph, ({ name }) => ({ kind: 'host', tensor: this.#weights.get(name)! }));
  }
}

function batchFeeds(batch: readonly SequenceContent[], { language }: LlavaConfig): Record<string, HostTensor> {
  const width = language.hiddenSize;
  const lengths = batch.map(({ ids }) => ids.length);
  const tokens = Math.max(...lengths);
  const ids = batch.flatMap(row => [...row.ids, ...Array<number>(tokens - row.ids.length).fill(0)]);
  const source = ids.map((_, i) => i);
  const rows: number[] = [];
  for (const [b, { images }] of batch.entries()) {
    for (const { start, features } of images) {
      for (let m = 0; m < features.rows; m++) {
        source[b * tokens + start + m] = ids.length + rows.length / width;
        rows.push(...features.data.subarray(m * width, (m + 1) * width));
      }
    }
  }
  const total = hostTensor('i32', [], Int32Array.of(tokens));
  const [count, last] = [batch.length, lengths.map(length => length - 1)];
  return {
    ids: i64Tensor([count, tokens], ids),
    source: i64Tensor([count, tokens], source),
    rows: i64Tensor(
      [count],
      last.map((position, b) => b * tokens + position),
    ),
    features: f32Tensor([rows.length / width, width], rows),
    lastPosition: hostTensor('i32', [count], Int32Array.from(last)),
    totalLength: total,
    ...(hasDynamicRotation(language) && { rotaryLength: total }),
  };
}

function emptyCaches(graph: Graph, batch: readonly SequenceContent[], { language }: LlavaConfig) {
  const tokens = Math.max(...batch.map(({ ids }) => ids.length));
  const shape = [batch.length, language.numKeyValueHeads, tokens, language.headDim];
  const names = graph.inputs.map(({ name }) => name).filter(name => name.startsWith('past.'));
  return Object.fromEntries(names.map(name => [name, hostTensor('f32', shape)]));
}
