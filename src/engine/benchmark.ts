/** @file How fast a model is on this machine: loading, vision tower, reading prompts, writing tokens. */

import { hostTensor, Rng, throwIfAborted } from '../core/index.ts';
import { imageLayout, type LlavaConfig } from '../models/index.ts';
import { type EncodableImage, encodableImage } from './image-encoder.ts';
import type { LlavaModel } from './model.ts';
import type { ImageFeatures, Sequence } from './sequence.ts';

/** What is measured. */
export interface BenchmarkOptions {
  /** Lengths of the prompts, in tokens. Those beyond the model's context are left out. Default 64, 256, 640. */
  readonly promptTokens?: readonly number[];
  /** Tokens written after each prompt. Default 16. */
  readonly decodeTokens?: number;
  /** Runs of each measurement, after one that does not count. Default 3. */
  readonly repeats?: number;
  /** Size of the picture, pixels. Default 672 × 672. */
  readonly image?: { readonly width: number; readonly height: number };
  readonly signal?: AbortSignal;
}

/** Time of reading a prompt. */
export interface PrefillFigure {
  readonly tokens: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
}

/** Time of one token after `past` others. */
export interface DecodeFigure {
  readonly past: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
}

/** All figures are medians. */
export interface Benchmark {
  readonly model: string;
  readonly loadMs: number;
  /** Absent for a language model alone. */
  readonly vision: { readonly tiles: number; readonly tokens: number; readonly ms: number } | undefined;
  readonly prefill: readonly PrefillFigure[];
  readonly decode: readonly DecodeFigure[];
  /** From a picture's pixels and 64 tokens of text to the first token of the answer; for a language model, of the text alone. */
  readonly firstTokenMs: number;
  /** Most memory that the process has held. */
  readonly peakBytes: number;
}

const TEXT_TOKENS = 64;

/** Loads the model and measures it. Nothing else should run at the same time. */
export async function benchmark(load: () => Promise<LlavaModel>, options: BenchmarkOptions = {}): Promise<Benchmark> {
  const start = performance.now();
  using model = await load();
  const loadMs = performance.now() - start;
  const { promptTokens = [64, 256, 640], decodeTokens = 16, repeats = 3 } = options;
  const runs = new Runs(model, repeats, options.signal);
  const vision = model.config.modelType === 'llava' ? await runs.vision(model.config, options.image) : undefined;
  const lengths = promptTokens.filter(tokens => tokens + decodeTokens <= model.language.contextLength);
  const figures = [];
  for (const tokens of lengths) figures.push(await runs.text(tokens, decodeTokens));
  return {
    model: model.name,
    loadMs,
    vision: vision && { tiles: vision.tiles, tokens: vision.tokens, ms: vision.ms },
    prefill: figures.map(({ tokens, prefillMs }) => ({
      tokens,
      ms: prefillMs,
      tokensPerSecond: (1000 * tokens) / prefillMs,
    })),
    decode: figures.map(({ tokens, decodeMs }) => ({ past: tokens, ms: decodeMs, tokensPerSecond: 1000 / decodeMs })),
    firstTokenMs: await runs.firstToken(vision?.next),
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** Measurements of one model. */
class Runs {
  readonly #model: LlavaModel;
  readonly #repeats: number;
  readonly #signal: AbortSignal | undefined;

  constructor(model: LlavaModel, repeats: number, signal: AbortSignal | undefined) {
    this.#model = model;
    this.#repeats = repeats;
    this.#signal = signal;
  }

  /** Each run reads another picture, so that none is answered from memory. */
  async vision(config: LlavaConfig, size = { width: 672, height: 672 }) {
    const layout = imageLayout(config, size);
    let seed = 0;
    const next = (): EncodableImage => encodableImage({ pixels: randomPixels(config, layout.tiles, ++seed), layout });
    const ms = await this.#median(async () => {
      const image = next();
      return timed(() => this.#model.encodeImages([image], this.#signal));
    });
    return { tiles: layout.tiles, tokens: layout.tokenCount, ms, next };
  }

  async text(tokens: number, decodeTokens: number) {
    const decodeTimes: number[] = [];
    const prefillMs = await this.#median(async () => {
      using sequence = this.#model.sequence(tokens + decodeTokens);
      const ms = await timed(() => sequence.read({ ids: this.#ids(tokens), images: [] }, this.#signal));
      decodeTimes.push(await this.#decode(sequence, decodeTokens));
      return ms;
    });
    return { tokens, prefillMs, decodeMs: median(decodeTimes.slice(1)) };
  }

  async #decode(sequence: Sequence, tokens: number): Promise<number> {
    const times: number[] = [];
    for (const id of this.#ids(tokens)) times.push(await timed(() => sequence.append(id, this.#signal)));
    return median(times);
  }

  firstToken(next: (() => EncodableImage) | undefined): Promise<number> {
    return this.#median(async () => {
      const pictures = next ? [next()] : [];
      const ids = this.#ids(TEXT_TOKENS);
      return timed(async () => {
        const features = await this.#model.encodeImages(pictures, this.#signal);
        const filler = features.flatMap(({ rows }: ImageFeatures) => Array<number>(rows).fill(0));
        const images = features.map(one => ({ start: 1, features: one }));
        const wanted = [ids[0]!, ...filler, ...ids.slice(1)].slice(0, this.#model.language.contextLength);
        using sequence = this.#model.sequence(wanted.length);
        await sequence.read({ ids: wanted, images }, this.#signal);
      });
    });
  }

  #ids(count: number): number[] {
    const rng = new Rng(count);
    return Array.from({ length: count }, () => rng.int(this.#model.language.vocabSize));
  }

  /** Median time of the counted runs, after one that is not. */
  async #median(run: () => Promise<number>): Promise<number> {
    await run();
    const times: number[] = [];
    for (let i = 0; i < this.#repeats; i++) {
      throwIfAborted(this.#signal, 'bench');
      times.push(await run());
    }
    return median(times);
  }
}

function randomPixels({ vision }: LlavaConfig, tiles: number, seed: number) {
  const rng = new Rng(seed);
  const side = vision.imageSize;
  const data = Float32Array.from({ length: tiles * 3 * side * side }, () => 2 * rng.uniform() - 1);
  return hostTensor('f32', [tiles, 3, side, side], data);
}

/** Milliseconds that `action` takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** The middle value, the mean of the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}
