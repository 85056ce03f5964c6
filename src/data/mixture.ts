/**
 * @file Several datasets as one endless, seeded sequence of samples. The sequence depends on the seed alone, so a run that
 * resumes at position i sees exactly what the unbroken run would have seen.
 */

import { LlavaError, Rng } from '../core/index.ts';
import type { Sample, SampleSource } from './sample.ts';

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

/**
 * The sequence of samples of a run. A finite source is gone through in a new random order each epoch; a stream is read
 * from its start on.
 */
export class SampleOrder {
  readonly #sources: readonly WeightedSource[];
  readonly #seed: number;
  #rng: Rng;
  #position = 0;
  #taken: number[];
  readonly #permutations = new Map<number, { epoch: number; order: Uint32Array }>();

  constructor(sources: readonly WeightedSource[], seed: number) {
    const empty = sources.find(({ source }) => source.length === 0);
    if (sources.length === 0 || empty) {
      throw new LlavaError(
        `data: expected sources with samples, got ${empty ? `none in ${empty.source.name}` : 'no source'}`,
      );
    }
    this.#sources = sources;
    this.#seed = seed;
    this.#rng = new Rng(seed);
    this.#taken = sources.map(() => 0);
  }

  /** The sample at `position`. Cheap when positions are asked for in rising order. */
  at(position: number): SampleRef {
    if (position < this.#position) this.#rewind();
    while (this.#position < position) this.#taken[this.#draw()]!++;
    const k = this.#draw();
    const count = this.#taken[k]!++;
    const { source } = this.#sources[k]!;
    return { source, index: Number.isFinite(source.length) ? this.#permuted(k, count, source.length) : count };
  }

  /** The samples [start, start + count), decoded. */
  async samples(start: number, count: number): Promise<Sample[]> {
    const refs = Array.from({ length: count }, (_, i) => this.at(start + i));
    return Promise.all(refs.map(({ source, index }) => source.sample(index)));
  }

  #rewind(): void {
    this.#rng = new Rng(this.#seed);
    this.#position = 0;
    this.#taken = this.#sources.map(() => 0);
  }

  #draw(): number {
    this.#position++;
    const total = this.#sources.reduce((sum, { weight }) => sum + weight, 0);
    let rest = this.#rng.uniform() * total;
    return this.#sources.findIndex(({ weight }, i) => {
      rest -= weight;
      return rest < 0 || i === this.#sources.length - 1;
    });
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
