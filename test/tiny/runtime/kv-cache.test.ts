import { expect, test } from 'vitest';
import { f32Tensor, hostTensor, Rng } from '../../../src/core/index.ts';
import { compile, DeviceTensor } from '../../../src/runtime/index.ts';
import { model, node, value } from './onnx-bytes.ts';

/** Sizes: H query heads, K key/value heads, D per head, C positions in the cache. */
const [H, K, D, C] = [4, 2, 16, 12];

/** Attention of one new position over a cache that is both input and output. */
const attention = model({
  nodes: [
    node('GroupQueryAttention', ['q', 'k', 'v', 'pastK', 'pastV', 'last', 'total'], ['y', 'newK', 'newV'], {
      domain: 'com.microsoft',
      attributes: { num_heads: H, kv_num_heads: K },
    }),
  ],
  inputs: [
    value('q', ['b', 's', H * D]),
    value('k', ['b', 's', K * D]),
    value('v', ['b', 's', K * D]),
    value('pastK', ['b', K, 'c', D]),
    value('pastV', ['b', K, 'c', D]),
    value('last', ['b'], 'i32'),
    value('total', [], 'i32'),
  ],
  outputs: [value('y', ['b', 's', H * D]), value('newK', ['b', K, 'c', D]), value('newV', ['b', K, 'c', D])],
});

const random = (rng: Rng, length: number) => Float32Array.from({ length }, () => rng.normal());

/** Softmax attention of one query over positions [0, length) of a [K, C, D] cache. */
function reference(q: Float32Array, keys: Float32Array, values: Float32Array, length: number): Float32Array {
  const out = new Float32Array(H * D);
  for (let h = 0; h < H; h++) {
    const row = (p: number) => (Math.floor(h / (H / K)) * C + p) * D;
    const scores = Array.from({ length }, (_, p) => {
      let dot = 0;
      for (let i = 0; i < D; i++) dot += q[h * D + i]! * keys[row(p) + i]!;
      return Math.exp(dot / Math.sqrt(D));
    });
    const sum = scores.reduce((a, b) => a + b);
    for (let p = 0; p < length; p++) {
      for (let i = 0; i < D; i++) out[h * D + i]! += (scores[p]! / sum) * values[row(p) + i]!;
    }
  }
  return out;
}

/** Positions of a [K, C, D] cache at which two versions differ. */
function changedPositions(before: Float32Array, after: Float32Array): number[] {
  const changed = new Set<number>();
  for (const [i, x] of after.entries()) if (x !== before[i]) changed.add(Math.floor(i / D) % C);
  return [...changed];
}

test.each([0, 1, 7, C - 1])('one step after %i positions writes one position in place', async past => {
  const rng = new Rng(past);
  const [q, k, v] = [random(rng, H * D), random(rng, K * D), random(rng, K * D)];
  const [keys, values] = [random(rng, K * C * D), random(rng, K * C * D)];
  using executable = await compile(attention);
  // Slot 1 of a cache of three: the neighbours must not change.
  using cache = DeviceTensor.over(f32Tensor([2, 3, K, C, D], new Float32Array(2 * 3 * K * C * D).fill(9)));
  using cacheK = cache.slice(1 * K * C * D, [1, K, C, D]);
  using cacheV = cache.slice(4 * K * C * D, [1, K, C, D]);
  cacheK.write(keys);
  cacheV.write(values);
  const feeds = {
    q: f32Tensor([1, 1, H * D], q),
    k: f32Tensor([1, 1, K * D], k),
    v: f32Tensor([1, 1, K * D], v),
    pastK: cacheK,
    pastV: cacheV,
    last: hostTensor('i32', [1], Int32Array.of(past)),
    total: hostTensor('i32', [], Int32Array.of(past + 1)),
  };
  const { y } = await executable.run(feeds, { outputs: { newK: cacheK, newV: cacheV } });

  const [afterK, afterV] = [cacheK.view() as Float32Array, cacheV.view() as Float32Array];
  expect(changedPositions(keys, afterK)).toEqual([past]);
  expect(changedPositions(values, afterV)).toEqual([past]);
  for (let h = 0; h < K; h++) {
    const at = (h * C + past) * D;
    expect(afterK.slice(at, at + D)).toEqual(k.slice(h * D, (h + 1) * D));
    expect(afterV.slice(at, at + D)).toEqual(v.slice(h * D, (h + 1) * D));
  }
  const expected = reference(q, afterK, afterV, past + 1);
  expect(Math.max(...expected.map((x, i) => Math.abs(x - (y!.view()[i] as number))))).toBeLessThan(1e-5);
  for (const slot of [0, 2, 3, 5]) {
    using neighbour = cache.slice(slot * K * C * D, [K * C * D]);
    expect(neighbour.view().every(x => x === 9)).toBe(true);
  }
});

test('a position beyond the cache is refused, and nothing is written', async () => {
  using executable = await compile(attention, { name: 'attention' });
  using cache = DeviceTensor.zeros('f32', [1, K, C, D]);
  const ones = (shape: number[], length: number) => f32Tensor(shape, new Float32Array(length).fill(1));
  const run = executable.run(
    {
      q: ones([1, 1, H * D], H * D),
      k: ones([1, 1, K * D], K * D),
      v: ones([1, 1, K * D], K * D),
      pastK: cache,
      pastV: cache,
      last: hostTensor('i32', [1], Int32Array.of(C)),
      total: hostTensor('i32', [], Int32Array.of(C + 1)),
    },
    { outputs: { newK: cache, newV: cache } },
  );
  await expect(run).rejects.toThrow(/^run\(attention\): .*GroupQueryAttention/);
  expect(cache.view().every(x => x === 0)).toBe(true);
});
