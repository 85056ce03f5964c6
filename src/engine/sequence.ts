/**
 * @file One sequence being read and written: its key/value cache, what each cached position holds, and a binding of the
 * decoder that is made once and then run for each step with only small inputs changed. Shapes: T tokens of a run, M image
 * feature rows, D hidden width, V vocabulary.
 */

import { assert, f32Tensor, hostTensor, i64Tensor } from '../core/index.ts';
import { hasDynamicRotation, type LlamaConfig } from '../models/index.ts';
import { type BoundProgram, DeviceTensor, type DeviceTensors, type Program } from '../runtime/index.ts';
import { KeyValueCache } from './kv-cache.ts';

/** Features of one image, [rows, D], and a key that equal images share. */
export interface ImageFeatures {
  readonly key: string;
  readonly rows: number;
  readonly data: Float32Array;
}

/** A sequence's content: token ids, any valid id at image positions, and the features that stand there. */
export interface SequenceContent {
  readonly ids: readonly number[];
  /** By rising `start`; image i takes positions [start, start + features.rows). */
  readonly images: readonly { readonly start: number; readonly features: ImageFeatures }[];
}

/** Positions that are best computed in one run while a prompt is read: with more, attention's scores leave the cache. */
const PREFILL_CHUNK = 512;

/** Positions computed in one run at most: bounds the memory of a run and the wait for a cancellation. */
export const LARGEST_CHUNK = PREFILL_CHUNK + PREFILL_CHUNK / 2;

/**
 * Equal parts of about {@link PREFILL_CHUNK}: the 640 positions of a prompt with one picture of LLaVA-1.5 are one. Of at most
 * `limit` where there is one.
 */
function chunkSize(positions: number, limit = Number.POSITIVE_INFINITY): number {
  const chunks = Math.max(1, Math.round(positions / PREFILL_CHUNK), Math.ceil(positions / limit));
  return Math.ceil(positions / chunks);
}

/** A sequence of one model. Not for concurrent use: each call must have ended before the next. */
export class Sequence implements Disposable {
  readonly #decoder: Program;
  readonly #config: LlamaConfig;
  readonly #maxTokens: number | undefined;
  /** Whether a run may want no logits: WebGPU refuses to reduce rows of which there are none. */
  readonly #takesNone: boolean;
  #cache: KeyValueCache;
  #binding: BoundProgram | undefined;
  /** What position i of the cache holds: `t<id>` or `i<image key>`. */
  #held: string[] = [];
  readonly #logits: Float32Array;
  readonly #step: StepInputs;
  readonly #output: DeviceTensor;
  /** Logits [0, V] of a run that is not the last of a prompt. */
  readonly #noOutput: DeviceTensor;

  /**
   * @param capacity positions to make room for; more are made when they are needed
   * @param maxTokens tokens of one run at most. Default: what is best
   */
  constructor(decoder: Program, config: LlamaConfig, capacity: number, maxTokens?: number) {
    this.#decoder = decoder;
    this.#maxTokens = maxTokens;
    this.#takesNone = decoder.isHostInput('past.0.key');
    this.#config = config;
    this.#cache = new KeyValueCache(decoder, config, capacity);
    this.#logits = new Float32Array(config.vocabSize);
    this.#step = new StepInputs(config);
    this.#output = DeviceTensor.over(f32Tensor([1, config.vocabSize], this.#logits));
    this.#noOutput = DeviceTensor.over(f32Tensor([0, config.vocabSize], []));
  }

  /** Positions held. */
  get length(): number {
    return this.#held.length;
  }

  /** Positions that the model's context has left. */
  get room(): number {
    return this.#config.contextLength - this.length;
  }

  /** False when the model's context is full. */
  get hasRoom(): boolean {
    return this.room > 0;
  }

  /** Positions of `content` that need no computing, because the sequence holds them already. */
  sharedLength(content: SequenceContent): number {
    return this.#shared(describe(content));
  }

  /** Makes room for `positions` in all, keeping what is held. */
  reserve(positions: number): void {
    if (positions <= this.#cache.capacity) return;
    const larger = new KeyValueCache(this.#decoder, this.#config, Math.max(positions, 2 * this.#cache.capacity));
    larger.copyFrom(this.#cache, this.length);
    this.#cache.dispose();
    this.#cache = larger;
    this.#binding?.set(larger.inputs, larger.outputs);
  }

  /**
   * Makes the sequence hold `content`, computing only what follows the part that it holds already.
   * @returns the last position's logits [V], valid until the next run
   */
  async read(content: SequenceContent, signal?: AbortSignal): Promise<Float32Array> {
    const wanted = describe(content);
    const { contextLength } = this.#config;
    assert(wanted.length > 0 && wanted.length <= contextLength, `sequence of ${wanted.length} positions`);
    this.reserve(wanted.length);
    const shared = this.#shared(wanted);
    this.#held.length = shared;
    const size = chunkSize(wanted.length - shared, this.#maxTokens);
    for (let begin = shared; begin < wanted.length; begin += size) {
      const end = Math.min(begin + size, wanted.length);
      await this.#readChunk(content, begin, end, signal);
      this.#held.push(...wanted.slice(begin, end));
    }
    return this.#logits;
  }

  /** Appends one token; returns the logits [V] after it, valid until the next run. */
  async append(id: number, signal?: AbortSignal): Promise<Float32Array> {
    assert(this.hasRoom, `sequence of ${this.length + 1} positions`);
    this.reserve(this.length + 1);
    this.#step.set(id, this.length);
    await this.#run(this.#step.tensors, signal);
    this.#held.push(`t${id}`);
    return this.#logits;
  }

  /** Whether several tokens can be appended in one run: not where each token changes the rotation of all. */
  get takesSeveral(): boolean {
    return !hasDynamicRotation(this.#config);
  }

  /** Appends tokens, in one run where that may have as many; returns the logits [V] after each of them. */
  async appendAll(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array[]> {
    assert(this.takesSeveral, 'sequence whose rotation depends on its length');
    assert(ids.length > 0 && ids.length <= this.room, `sequence of ${this.length + ids.length} positions`);
    const size = this.#maxTokens ?? ids.length;
    if (ids.length > size) {
      return [
        ...(await this.appendAll(ids.slice(0, size), signal)),
        ...(await this.appendAll(ids.slice(size), signal)),
      ];
    }
    this.reserve(this.length + ids.length);
    const { vocabSize } = this.#config;
    const logits = new Float32Array(ids.length * vocabSize);
    const inputs = tokenInputs(ids, this.length, this.#config);
    const output = DeviceTensor.over(f32Tensor([ids.length, vocabSize], logits));
    try {
      await this.#run(inputs, signal, output);
    } finally {
      for (const tensor of [...Object.values(inputs), output]) tensor.dispose();
    }
    this.#held.push(...ids.map(id => `t${id}`));
    return ids.map((_, i) => logits.subarray(i * vocabSize, (i + 1) * vocabSize));
  }

  /** Forgets all positions from `length` on. */
  truncate(length: number): void {
    assert(length >= 0 && length <= this.length, `sequence of ${this.length} positions cut to ${length}`);
    this.#held.length = length;
  }

  dispose(): void {
    this.#cache.dispose();
    this.#step.dispose();
    this.#output.dispose();
    this.#noOutput.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Length of the common beginning; less than `wanted`, since a run must compute its last position. Keys that are rotated by
   * the length of their sequence serve no sequence of another length.
   */
  #shared(wanted: readonly string[]): number {
    const scaling = this.#config.ropeScaling;
    if (scaling?.type === 'dynamic' && Math.max(wanted.length, this.length) > scaling.originalPositions) return 0;
    const differs = wanted.findIndex((what, i) => what !== this.#held[i]);
    return Math.min(differs < 0 ? wanted.length : differs, wanted.length - 1);
  }

  /** Computes positions [begin, end) of `content` after the held [0, begin). */
  async #readChunk(content: SequenceContent, begin: number, end: number, signal?: AbortSignal): Promise<void> {
    const wantsLogits = end === content.ids.length || !this.#takesNone;
    const inputs = chunkInputs(content, begin, end, wantsLogits, this.#config);
    try {
      await this.#run(inputs, signal, wantsLogits ? this.#output : this.#noOutput);
    } finally {
      for (const tensor of Object.values(inputs)) tensor.dispose();
    }
  }

  async #run(inputs: DeviceTensors, signal?: AbortSignal, logits = this.#output): Promise<void> {
    if (this.#binding) this.#binding.set(inputs, { logits });
    else {
      const outputs = { logits, ...this.#cache.outputs };
      this.#binding = this.#decoder.bind({ ...inputs, ...this.#cache.inputs }, { outputs });
    }
    await this.#binding.run({ signal });
  }
}

/** One name a position; equal names at equal positions mean equal keys and values if all before are equal too. */
function describe({ ids, images }: SequenceContent): string[] {
  const names = ids.map(id => `t${id}`);
  for (const { start, features } of images) names.fill(`i${features.key}`, start, start + features.rows);
  return names;
}

/** Decoder inputs for positions [begin, end) of a sequence, the logits of the last wanted or none; an image may be cut by either end. */
function chunkInputs(
  { ids, images }: SequenceContent,
  begin: number,
  end: number,
  wantsLogits: boolean,
  config: LlamaConfig,
): DeviceTensors {
  const length = end - begin;
  const width = config.hiddenSize;
  const source = Array.from({ length }, (_, i) => i);
  const parts: Float32Array[] = [];
  let rows = 0;
  for (const { start, features } of images) {
    const from = Math.max(start, begin);
    const to = Math.min(start + features.rows, end);
    if (from >= to) continue;
    parts.push(features.data.subarray((from - start) * width, (to - start) * width));
    for (let position = from; position < to; position++) source[position - begin] = length + rows++;
  }
  return {
    ids: DeviceTensor.over(i64Tensor([1, length], ids.slice(begin, end))),
    source: DeviceTensor.over(i64Tensor([1, length], source)),
    rows: DeviceTensor.over(wantsLogits ? i64Tensor([1], [length - 1]) : i64Tensor([0], [])),
    features: DeviceTensor.over(f32Tensor([rows, width], join(parts, rows * width))),
    ...positionInputs(Int32Array.of(end - 1), Int32Array.of(end)),
    ...rotaryInput(config, Int32Array.of(ids.length)),
  };
}

function join(parts: readonly Float32Array[], length: number): Float32Array {
  const out = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function positionInputs(lastPosition: Int32Array, totalLength: Int32Array): DeviceTensors {
  return {
    lastPosition: DeviceTensor.over(hostTensor('i32', [1], lastPosition)),
    totalLength: DeviceTensor.over(hostTensor('i32', [], totalLength)),
  };
}

/** What decoders need whose rotation depends on the sequence's length. */
function rotaryInput(config: LlamaConfig, length: Int32Array): DeviceTensors {
  return hasDynamicRotation(config) ? { rotaryLength: DeviceTensor.over(hostTensor('i32', [], length)) } : {};
}

/** Decoder inputs for tokens after `past` positions, with the logits of each wanted. */
function tokenInputs(ids: readonly number[], past: number, config: LlamaConfig): DeviceTensors {
  const places = i64Tensor(
    [ids.length],
    ids.map((_, i) => i),
  );
  const end = past + ids.length;
  return {
    ids: DeviceTensor.over(i64Tensor([1, ids.length], ids)),
    source: DeviceTensor.over({ ...places, shape: [1, ids.length] }),
    rows: DeviceTensor.over(places),
    features: DeviceTensor.over(f32Tensor([0, config.hiddenSize], [])),
    ...positionInputs(Int32Array.of(end - 1), Int32Array.of(end)),
  };
}

/** Decoder inputs of a run over one token, made once and written before each run. */
class StepInputs {
  readonly tensors: DeviceTensors;
  readonly #ids = new BigInt64Array(1);
  readonly #lastPosition = new Int32Array(1);
  readonly #totalLength = new Int32Array(1);

  constructor(config: LlamaConfig) {
    this.tensors = {
      ids: DeviceTensor.over(hostTensor('i64', [1, 1], this.#ids)),
      source: DeviceTensor.over(i64Tensor([1, 1], [0])),
      rows: DeviceTensor.over(i64Tensor([1], [0])),
      features: DeviceTensor.over(f32Tensor([0, config.hiddenSize], [])),
      ...positionInputs(this.#lastPosition, this.#totalLength),
      ...rotaryInput(config, this.#totalLength),
    };
  }

  /** Token `id` at `position`. */
  set(id: number, position: number): void {
    this.#ids[0] = BigInt(id);
    this.#lastPosition[0] = position;
    this.#totalLength[0] = position + 1;
  }

  dispose(): void {
    for (const tensor of Object.values(this.tensors)) tensor.dispose();
  }
}
