/**
 * @file Nothing leaks: native memory is measured before and after many rounds of everything that allocates natively.
 * Each measurement follows a warm-up, in which arenas and pools reach their size, and a full garbage collection.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { f32Tensor, hostTensor, i64Tensor } from '../../../src/core/index.ts';
import { compile, DeviceTensor } from '../../../src/runtime/index.ts';
import { addModel, matmulChain, model, node, value } from '../../tiny/runtime/onnx-bytes.ts';

const MEGABYTE = 2 ** 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Resident memory less V8's heap, in bytes, after finalizers have run. */
async function nativeMemory(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await sleep(10);
  }
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

/**
 * Growth of native memory in MB over `rounds`, after a fifth as many to warm up: five times the median growth of five
 * stretches, since allocators take and return memory in single steps of tens of MB while a leak grows in each stretch.
 */
async function growth(label: string, rounds: number, round: (i: number) => Promise<void> | void): Promise<number> {
  const levels: number[] = [];
  for (let i = 0; i < rounds * 1.2; i++) {
    if (i % (rounds / 5) === 0 && i > 0) levels.push(await nativeMemory());
    await round(i);
  }
  levels.push(await nativeMemory());
  const steps = levels.slice(1).map((level, i) => (level - levels[i]!) / MEGABYTE);
  const grown = 5 * steps.toSorted((a, b) => a - b)[2]!;
  console.log(`${label}: ${rounds} rounds grew native memory by ${grown.toFixed(1)} MB (${steps.map(Math.round)})`);
  return grown;
}

test('10,000 runs with new inputs and new outputs', async () => {
  using add = await compile(addModel());
  const length = 4096;
  const grown = await growth('runs', 10_000, async i => {
    const a = f32Tensor([length], new Float32Array(length).fill(i));
    using b = DeviceTensor.zeros('f32', [length]);
    const { y } = await add.run({ a, b });
    expect(y!.read().data[length - 1]).toBe(i);
    y!.dispose();
  });
  expect(grown).toBeLessThan(10);
});

test('10,000 runs of one binding, half of them cancellable', async () => {
  using add = await compile(addModel());
  using a = DeviceTensor.zeros('f32', [64]);
  const binding = add.bind({ a, b: a });
  const { signal } = new AbortController();
  const grown = await growth('bound runs', 10_000, async i => {
    const { y } = await binding.run(i % 2 ? { signal } : {});
    y!.dispose();
  });
  expect(grown).toBeLessThan(10);
});

test('200 bindings over slices of tensors of 256 KB', async () => {
  using add = await compile(addModel());
  const grown = await growth('bindings', 200, async () => {
    using whole = DeviceTensor.zeros('f32', [2 ** 16]);
    using a = whole.slice(0, [1024]);
    using b = whole.slice(1024, [1024]);
    using y = whole.slice(2048, [1024]);
    a.write(new Float32Array(1024).fill(1));
    await add.bind({ a, b }, { outputs: { y } }).run();
    expect(y.read().data[1023]).toBe(1);
  });
  expect(grown).toBeLessThan(10);
});

test('200 viewed tensors of 4 MB that nobody disposes', async () => {
  const grown = await growth('dropped tensors', 200, async i => {
    DeviceTensor.zeros('f32', [MEGABYTE]).view();
    if (i % 10 === 9) await nativeMemory();
  });
  expect(grown).toBeLessThan(40);
});

test('1,000 failing and 200 cancelled runs', async () => {
  const gather = await compile(
    model({
      nodes: [node('Gather', ['table', 'rows'], ['y'])],
      inputs: [value('table', ['n']), value('rows', ['m'], 'i64')],
      outputs: [value('y', ['m'])],
    }),
  );
  using chain = await compile(matmulChain(500));
  const table = hostTensor('f32', [1024]);
  const grown = await growth('failing runs', 1000, async i => {
    await expect(gather.run({ table, rows: i64Tensor([1], [5000]) })).rejects.toThrow('out of data bounds');
    if (i % 5 > 0) return;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 1);
    await chain.run({ x: hostTensor('f32', [128, 128]) }, { signal: controller.signal }).catch(() => {});
  });
  expect(grown).toBeLessThan(10);
});

test('100 executables with 4 MB of weights: what they do not give back is bounded', async () => {
  const weights = Float32Array.from({ length: MEGABYTE }, (_, i) => i % 7);
  const big = model({
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
    inputs: [value('x', [1, 1024])],
    outputs: [value('y', [1, 1024])],
    initializers: [{ name: 'w', dtype: 'f32', shape: [1024, 1024], data: weights }],
  });
  const grown = await growth('executables', 100, async () => {
    using executable = await compile(big);
    const { y } = await executable.run({ x: hostTensor('f32', [1, 1024]) });
    y!.dispose();
  });
  expect(grown).toBeLessThan(100);
});
