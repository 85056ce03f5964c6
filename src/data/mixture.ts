/**
 * @file Several datasets as one endless, seeded sequence of samples. The sequence depends on the seed alone, so a run that
 * resumes at position i sees exactly what the unbroken run would have seen.
 */

import { LlavaError, Rng } from '../core/index.ts';
import type { Sample, SampleDescription, SampleSource } from './sample.ts';
import { type GroupOptions, groupByModalityLength } from './sampler.ts';

/** A dataset and its share of the samples, relative to the other weights. */
export interface WeightedSource {
  readonly source: SampleSource;
  readonly weight: number;
}

/** Which sample of which source. */
export interface SampleRef {
  readonly source: SampleSource;
  readonly index: number;
}

/** Options of a {@link SampleOrder}. */
export interface OrderOptions {
  /** Groups the samples of each batch by modality and length. Default: no grouping. */
  readonly groupByModalityLength?: GroupOptions;
}

/** Samples that are grouped at a time when a source has no end, in updates. */
const STREAM_WINDOW = 64;

/**
 * The sequence of samples of a run. A finite source is gone through in a new random order each epoch; a stream is read
 * from its start on. With grouping, stretches of about an epoch of all sources are put in another order.
 */
export class SampleOrder {
  readonly #mixture: Mixture;
  readonly #seed: number;
  readonly #grouping: GroupOptions | undefined;
  /** Samples that are grouped together: whole blocks, so that blocks begin where updates do. */
  readonly #windowSize: number;
  #window: { readonly number: number; readonly refs: readonly SampleRef[] } | undefined;

  /** @throws LlavaError for no source, an empty one, a weight not above 0, or one that cannot be grouped */
  constructor(sources: readonly WeightedSource[], seed: number, options: OrderOptions = {}) {
    checkSources(sources);
    this.#mixture = new Mixture(sources, seed);
    this.#seed = seed;
    this.#grouping = options.groupByModalityLength;
    this.#windowSize = this.#grouping ? windowSize(sources, this.#grouping) : 0;
  }

  /** The sample at `position`. Cheap when positions are asked for in rising order. */
  at(position: number): SampleRef {
    if (!this.#grouping) return this.#mixture.at(position);
    const number = Math.floor(position / this.#windowSize);
    if (this.#window?.number !== number) this.#window = { number, refs: this.#group(number, this.#grouping) };
    return this.#window.refs[position % this.#windowSize]!;
  }

  /** The samples [start, start + count), decoded. */
  async samples(start: number, count: number): Promise<Sample[]> {
    const refs = Array.from({ length: count }, (_, i) => this.at(start + i));
    return Promise.all(refs.map(({ source, index }) => source.sample(index)));
  }

  #group(number: number, options: GroupOptions): SampleRef[] {
    const start = number * this.#windowSize;
    const refs = Array.from({ length: this.#windowSize }, (_, i) => this.#mixture.at(start + i));
    const order = groupByModalityLength(refs.map(describe), options, new Rng(this.#seed * 1_000_003 - 1 - number));
    return order.map(i => refs[i]!);
  }
}

/** Sources drawn by weight. */
class Mixture {
  readonly #sources: readonly WeightedSource[];
  readonly #seed: number;
  readonly #total: number;
  readonly #permutations = new Map<number, { epoch: number; order: Uint32Array }>();
  #rng: Rng;
  #position = 0;
  /** Samples drawn so far from each source. */
  #taken: number[];

  constructor(sources: readonly WeightedSource[], seed: number) {
    this.#sources = sources;
    this.#seed = seed;
    this.#total = sources.reduce((sum, { weight }) => sum + weight, 0);
    this.#rng = new Rng(seed);
    this.#taken = sources.map(() => 0);
  }

  at(position: number): SampleRef {
    if (position < this.#position) this.#rewind();
    while (this.#position < position) this.#draw();
    const k = this.#draw();
    const { source } = this.#sources[k]!;
    const count = this.#taken[k]! - 1;
    return { source, index: Number.isFinite(source.length) ? this.#permuted(k, count, source.length) : count };
  }

  #rewind(): void {
    this.#rng = new Rng(this.#seed);
    this.#position = 0;
    this.#taken.fill(0);
  }

  #draw(): number {
    this.#position++;
    let rest = this.#rng.uniform() * this.#total;
    const k = this.#sources.findIndex(({ weight }, i) => {
      rest -= weight;
      return rest < 0 || i === this.#sources.length - 1;
    });
    this.#taken[k]!++;
    return k;
  }

  #permuted(k: number, count: number, length: number): number {
    const epoch = Math.floor(count / length);
    let known = this.#permutations.get(k);
    if (known?.epoch !== epoch) {
      known = { epoch, order: permutation(length, this.#seed * 1_000_003 + k * 7919 + epoch) };
      this.#permutations.set(k, known);
    }
    return known.order[count % length]!;
  }
}

function permutation(length: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  const rng = new Rng(seed);
  for (let i = length - 1; i > 0; i--) {
    const j = rng.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

function checkSources(sources: readonly WeightedSource[]): void {
  if (sources.length === 0) throw new LlavaError('data: expected sources with samples, got no source');
  for (const { source, weight } of sources) {
    if (source.length === 0) throw new LlavaError(`data: expected sources with samples, got none in ${source.name}`);
    if (!(weight > 0 && Number.isFinite(weight))) {
      throw new LlavaError(`data ${source.name}: expected a weight above 0, got ${weight}`);
    }
  }
}

/** All samples of finite sources, rounded up to whole blocks. */
function windowSize(sources: readonly WeightedSource[], { batchSize, microBatches }: GroupOptions): number {
  const mute = sources.find(({ source }) => !source.describe);
  if (mute) {
    throw new LlavaError(
      `data ${mute.source.name}: expected a source that can be grouped by length, got one that cannot`,
    );
  }
  const block = batchSize * microBatches;
  const samples = sources.reduce((sum, { source }) => sum + source.length, 0);
  return Number.isFinite(samples) ? Math.ceil(samples / block) * block : STREAM_WINDOW * block;
}

function describe({ source, index }: SampleRef): SampleDescription {
  return source.describe!(index);
}
