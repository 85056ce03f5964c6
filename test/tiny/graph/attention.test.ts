/**
 * @file Attention over a key/value cache that stays in place between runs: rows of different length, single steps, chunks,
 * against the naive reference, which keeps its own cache.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Dim, dim, groupQueryAttention, input } from '../../../src/graph/index.ts';
import { DeviceTensor, type Executable } from '../../../src/runtime/index.ts';
import { compileOutputs, expectClose, rngFor, toHost, toNd } from './harness.ts';
import { build, get, type Nd } from './nd.ts';
import { cachedAttention } from './reference.ts';

const [HEADS, KEY_VALUE_HEADS, ROOM] = [4, 2, 7];
const NAMES = ['query', 'key', 'value', 'pastKey', 'pastValue', 'lastPosition', 'totalLength', 'cos', 'sin'] as const;
const TOLERANCE = 1e-5;

function attentionOutputs(width: number) {
  const [batch, tokens, room] = ['B', 'T', 'P'].map(dim) as [Dim, Dim, Dim];
  const cache = [batch, KEY_VALUE_HEADS, room, width];
  const { output, present } = groupQueryAttention(
    {
      query: input('query', 'f32', [batch, tokens, HEADS * width]),
      key: input('key', 'f32', [batch, tokens, KEY_VALUE_HEADS * width]),
      value: input('value', 'f32', [batch, tokens, KEY_VALUE_HEADS * width]),
      past: { key: input('pastKey', 'f32', cache), value: input('pastValue', 'f32', cache) },
      lastPosition: input('lastPosition', 'i32', [batch]),
      totalLength: input('totalLength', 'i32', []),
      cosTable: input('cos', 'f32', [ROOM, width / 2]),
      sinTable: input('sin', 'f32', [ROOM, width / 2]),
    },
    { numHeads: HEADS, numKeyValueHeads: KEY_VALUE_HEADS, slidingWindow: -1 },
  );
  return { output, presentKey: present.key, presentValue: present.value };
}

function tables(width: number): Nd[] {
  const angle = (position: number, i: number) => position * 10000 ** (-i / (width / 2));
  return [Math.cos, Math.sin].map(f =>
    build([ROOM, width / 2], ([position, i]) => Math.fround(f(angle(position!, i!)))),
  );
}

/** Positions from `length` on become NaN, which is compared with nothing: a new cache has no content there. */
const forgetAfter = (cache: Nd, length: number): Nd =>
  build(cache.shape, index => (index[2]! < length ? get(cache, index) : Number.NaN));

/** A cache in ONNX Runtime's memory and the reference's own, stepped together. */
class Conversation {
  readonly #rng = rngFor('attention');
  readonly #executable: Executable;
  readonly #width: number;
  readonly #batch: number;
  readonly #buffers: readonly [DeviceTensor, DeviceTensor];
  #key: Nd;
  #value: Nd;

  constructor(executable: Executable, width: number, batch: number) {
    const shape = [batch, KEY_VALUE_HEADS, ROOM, width];
    [this.#executable, this.#width, this.#batch] = [executable, width, batch];
    [this.#key, this.#value] = [this.#random(shape), this.#random(shape)];
    this.#buffers = [DeviceTensor.over(toHost(this.#key, 'f32')), DeviceTensor.over(toHost(this.#value, 'f32'))];
  }

  #random(shape: readonly number[]): Nd {
    return build(shape, () => Math.fround(this.#rng.normal()));
  }

  /** Appends `tokens` tokens to each row, after which row b has `lengths[b]`; compares output and cache. */
  async step(tokens: number, lengths: readonly number[], inPlace = true): Promise<void> {
    const fresh = [HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS].map(heads =>
      this.#random([this.#batch, tokens, heads * this.#width]),
    );
    const last = build([this.#batch], ([row]) => lengths[row!]! - 1);
    const total = build([], () => Math.max(tokens, ...lengths));
    const operands = [...fresh, this.#key, this.#value, last, total, ...tables(this.#width)];
    const want = cachedAttention(operands, -1);
    const got = await this.#run(operands, inPlace);
    [this.#key, this.#value] = [want.key, want.value].map(x => (inPlace ? x : forgetAfter(x, total.data[0]!))) as [
      Nd,
      Nd,
    ];
    expectClose('output', got.output!, want.output, TOLERANCE);
    expectClose('key', got.key!, this.#key, TOLERANCE);
    expectClose('value', got.value!, this.#value, TOLERANCE);
  }

  async #run(operands: readonly Nd[], inPlace: boolean): Promise<Record<string, Nd>> {
    const [pastKey, pastValue] = this.#buffers;
    const small = operands.map((x, i) => [NAMES[i]!, DeviceTensor.over(toHost(x, i === 5 || i === 6 ? 'i32' : 'f32'))]);
    const inputs = { ...Object.fromEntries(small), pastKey, pastValue };
    const outputs = inPlace ? { presentKey: pastKey, presentValue: pastValue } : {};
    const { output, presentKey, presentValue } = await this.#executable.bind(inputs, { outputs }).run();
    return { output: toNd(output!.read()), key: toNd(presentKey!.read()), value: toNd(presentValue!.read()) };
  }

  bytes(): Uint8Array {
    return new Uint8Array((this.#buffers[0].view() as Float32Array).slice().buffer);
  }
}

describe.each([
  ['rotated in the kernel', 16],
  ['rotated before it', 8],
])('%s', (_title, width) => {
  let executable: Executable;
  beforeAll(async () => {
    executable = await compileOutputs(attentionOutputs(width));
  });
  afterAll(() => executable.dispose());
  const start = (batch: number) => new Conversation(executable, width, batch);

  test('rows of different length, then step by step', async () => {
    const conversation = start(2);
    await conversation.step(4, [4, 2]);
    await conversation.step(1, [5, 3]);
    await conversation.step(1, [6, 4]);
    await conversation.step(1, [7, 5]);
  });

  test('from a single token on', async () => {
    const conversation = start(2);
    for (const length of [1, 2, 3]) await conversation.step(1, [length, length]);
  });

  test('one row in chunks', async () => {
    const conversation = start(1);
    await conversation.step(2, [2]);
    await conversation.step(3, [5]);
    await conversation.step(2, [7]);
  });

  test('several rows in chunks are refused', async () => {
    const conversation = start(2);
    await conversation.step(2, [2, 2]);
    await expect(conversation.step(2, [4, 4])).rejects.toThrow(/run\(model\)/);
  });

  test('a length beyond the room is refused', async () => {
    const conversation = start(1);
    await conversation.step(7, [7]);
    await expect(conversation.step(1, [8])).rejects.toThrow(/run\(model\)/);
  });

  test('without a bound output the past stays as it is', async () => {
    const conversation = start(1);
    const before = conversation.bytes();
    await conversation.step(3, [3], false);
    expect(conversation.bytes()).toEqual(before);
  });
});
