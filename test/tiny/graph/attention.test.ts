/**
 * @file Attention over a key/value cache that stays in place between runs: rows of different length, single steps, chunks,
 * against the naive reference, which keeps its own cache.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { type Dim, dim, groupQueryAttention, input } from '../../../src/graph/index.ts';
import { DeviceTensor, type Executable } from '../../../src/runtime/index.ts';
import { compileOutputs, expectClose, rngFor, toHost, toNd } from './harness.ts';
import { build, get, type Nd } from './nd.ts';
import { cachedAttention } from './reference.ts';

const [HEADS, KEY_VALUE_HEADS, WIDTH, ROOM] = [4, 2, 16, 7];
const NAMES = ['query', 'key', 'value', 'pastKey', 'pastValue', 'lastPosition', 'totalLength', 'cos', 'sin'] as const;
const TOLERANCE = 1e-5;

function attentionOutputs() {
  const [batch, tokens, room] = ['B', 'T', 'P'].map(dim) as [Dim, Dim, Dim];
  const cache = [batch, KEY_VALUE_HEADS, room, WIDTH];
  const { output, present } = groupQueryAttention(
    {
      query: input('query', 'f32', [batch, tokens, HEADS * WIDTH]),
      key: input('key', 'f32', [batch, tokens, KEY_VALUE_HEADS * WIDTH]),
      value: input('value', 'f32', [batch, tokens, KEY_VALUE_HEADS * WIDTH]),
      past: { key: input('pastKey', 'f32', cache), value: input('pastValue', 'f32', cache) },
      lastPosition: input('lastPosition', 'i32', [batch]),
      totalLength: input('totalLength', 'i32', []),
      cosTable: input('cos', 'f32', [ROOM, WIDTH / 2]),
      sinTable: input('sin', 'f32', [ROOM, WIDTH / 2]),
    },
    { numHeads: HEADS, numKeyValueHeads: KEY_VALUE_HEADS, slidingWindow: -1 },
  );
  return { output, presentKey: present.key, presentValue: present.value };
}

let executable: Executable;
beforeAll(async () => {
  executable = await compileOutputs(attentionOutputs());
});

const angles = build([ROOM, WIDTH / 2], ([position, i]) => position! * 10000 ** (-i! / (WIDTH / 2)));
const table = (f: (x: number) => number): Nd => ({
  shape: angles.shape,
  data: angles.data.map(v => Math.fround(f(v))),
});

/** Positions from `length` on become NaN, which is compared with nothing: a new cache has no content there. */
const forgetAfter = (cache: Nd, length: number): Nd =>
  build(cache.shape, index => (index[2]! < length ? get(cache, index) : Number.NaN));

/** A cache in ONNX Runtime's memory and the reference's own, stepped together. */
class Conversation {
  readonly #rng = rngFor('attention');
  readonly #batch: number;
  readonly #buffers: readonly [DeviceTensor, DeviceTensor];
  #key: Nd;
  #value: Nd;

  constructor(batch: number) {
    const shape = [batch, KEY_VALUE_HEADS, ROOM, WIDTH];
    this.#batch = batch;
    [this.#key, this.#value] = [this.#random(shape), this.#random(shape)];
    this.#buffers = [DeviceTensor.over(toHost(this.#key, 'f32')), DeviceTensor.over(toHost(this.#value, 'f32'))];
  }

  #random(shape: readonly number[]): Nd {
    return build(shape, () => Math.fround(this.#rng.normal()));
  }

  /** Appends `tokens` tokens to each row, after which row b has `lengths[b]`; compares output and cache. */
  async step(tokens: number, lengths: readonly number[], inPlace = true): Promise<void> {
    const fresh = [HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS].map(heads =>
      this.#random([this.#batch, tokens, heads * WIDTH]),
    );
    const last = build([this.#batch], ([row]) => lengths[row!]! - 1);
    const total = build([], () => Math.max(tokens, ...lengths));
    const operands = [...fresh, this.#key, this.#value, last, total, table(Math.cos), table(Math.sin)];
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
    const { output, presentKey, presentValue } = await executable.bind(inputs, { outputs }).run();
    return { output: toNd(output!.read()), key: toNd(presentKey!.read()), value: toNd(presentValue!.read()) };
  }

  bytes(): Uint8Array {
    return new Uint8Array((this.#buffers[0].view() as Float32Array).slice().buffer);
  }
}

describe('cache bound as past and present', () => {
  test('rows of different length, then step by step', async () => {
    const conversation = new Conversation(2);
    await conversation.step(4, [4, 2]);
    await conversation.step(1, [5, 3]);
    await conversation.step(1, [6, 4]);
    await conversation.step(1, [7, 5]);
  });

  test('one row in chunks', async () => {
    const conversation = new Conversation(1);
    await conversation.step(2, [2]);
    await conversation.step(3, [5]);
    await conversation.step(2, [7]);
  });

  test('several rows in chunks are refused', async () => {
    const conversation = new Conversation(2);
    await conversation.step(2, [2, 2]);
    await expect(conversation.step(2, [4, 4])).rejects.toThrow(/run\(model\)/);
  });

  test('a length beyond the room is refused', async () => {
    const conversation = new Conversation(1);
    await conversation.step(7, [7]);
    await expect(conversation.step(1, [8])).rejects.toThrow(/run\(model\)/);
  });
});

test('without a bound output the past stays as it is', async () => {
  const conversation = new Conversation(1);
  const before = conversation.bytes();
  await conversation.step(3, [3], false);
  expect(conversation.bytes()).toEqual(before);
});
