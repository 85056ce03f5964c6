/**
 * @file Keys and values of one sequence, in memory that ONNX Runtime reads and writes in place: for each layer two
 * tensors [1, KV, capacity, D]. Positions [0, length) are valid; who holds the cache knows the length. It lies where the decoder
 * computes attention: in a device's memory there is room for the whole context from the start, since JavaScript cannot copy it.
 */

import { dtypeSize } from '../core/index.ts';
import type { CacheType, LlamaConfig } from '../models/index.ts';
import type { DeviceTensor, DeviceTensors, Program } from '../runtime/index.ts';

/** Capacities are multiples of this many positions, so that small growth needs no new memory. */
const CAPACITY_STEP = 64;

/** The cache of one sequence. */
export class KeyValueCache implements Disposable {
  /** Positions that there is room for. */
  readonly capacity: number;
  readonly #config: LlamaConfig;
  readonly #tensors: readonly DeviceTensor[];

  /** Room for at least `positions`, and at most what the model can address. */
  constructor(decoder: Program, config: LlamaConfig, positions: number) {
    const rounded = Math.ceil(positions / CAPACITY_STEP) * CAPACITY_STEP;
    const wanted = decoder.isHostInput('past.0.key') ? Math.max(rounded, CAPACITY_STEP) : config.contextLength;
    this.capacity = Math.min(wanted, config.contextLength);
    this.#config = config;
    const shape = [1, config.numKeyValueHeads, this.capacity, config.headDim];
    this.#tensors = this.#names('past').map(name => decoder.allocate(name, shape));
  }

  /** Graph inputs, `past.<layer>.key|value`. */
  get inputs(): DeviceTensors {
    return this.#named('past');
  }

  /** Graph outputs over the same memory, `present.<layer>.key|value`. */
  get outputs(): DeviceTensors {
    return this.#named('present');
  }

  /** Copies positions [0, length) of another cache of the same model. */
  copyFrom(other: KeyValueCache, length: number): void {
    const { numKeyValueHeads, headDim } = this.#config;
    for (const [i, tensor] of this.#tensors.entries()) {
      for (let head = 0; head < numKeyValueHeads; head++) {
        using source = other.#tensors[i]!.slice(head * other.capacity * headDim, [length, headDim]);
        using target = tensor.slice(head * this.capacity * headDim, [length, headDim]);
        target.write(source.read().data);
      }
    }
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #named(prefix: string): DeviceTensors {
    return Object.fromEntries(this.#names(prefix).map((name, i) => [name, this.#tensors[i]!]));
  }

  #names(prefix: string): string[] {
    const layers = Array.from({ length: this.#config.numHiddenLayers }, (_, layer) => layer);
    return layers.flatMap(layer => [`${prefix}.${layer}.key`, `${prefix}.${layer}.value`]);
  }
}

/** Bytes of the cache of one sequence of `positions`. */
export function cacheBytes(config: LlamaConfig, positions: number, dtype: CacheType): number {
  return 2 * dtypeSize(dtype) * config.numHiddenLayers * config.numKeyValueHeads * config.headDim * positions;
}
