import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, parse, relative } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { f32Tensor, hostTensor, i64Tensor, Rng } from '../../../src/core/index.ts';
import { compile, DeviceTensor } from '../../../src/runtime/index.ts';
import { addModel, matmulChain, model, node, value } from './onnx-bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'llava-runtime-'));
afterAll(() => rmSync(folder, { recursive: true }));

const random = (rng: Rng, length: number) => Float32Array.from({ length }, () => rng.normal());

describe('run', () => {
  test('adds tensors in host memory and in device tensors', async () => {
    using add = await compile(addModel());
    const a = f32Tensor([3], [1, 2, 3]);
    using b = DeviceTensor.over(f32Tensor([3], [10, 20, 30]));
    const { y } = await add.run({ a, b });
    expect(y!.read()).toEqual(f32Tensor([3], [11, 22, 33]));
  });

  test('multiplies matrices as a naive loop does', async () => {
    const [m, k, n] = [5, 7, 3];
    const rng = new Rng(1);
    const [a, b] = [random(rng, m * k), random(rng, k * n)];
    using matmul = await compile(
      model({
        nodes: [node('MatMul', ['a', 'b'], ['y'])],
        inputs: [value('a', ['m', 'k']), value('b', ['k', 'n'])],
        outputs: [value('y', ['m', 'n'])],
      }),
    );
    const { y } = await matmul.run({ a: f32Tensor([m, k], a), b: f32Tensor([k, n], b) });
    expect(y!.shape).toEqual([m, n]);
    const product = y!.view();
    for (let i = 0; i < m * n; i++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += a[Math.floor(i / n) * k + j]! * b[j * n + (i % n)]!;
      expect(product[i]).toBeCloseTo(sum, 5);
    }
  });

  test('fetches only the outputs asked for', async () => {
    using twice = await compile(
      model({
        nodes: [node('Neg', ['x'], ['minus']), node('Abs', ['x'], ['size'])],
        inputs: [value('x', ['n'])],
        outputs: [value('minus', ['n']), value('size', ['n'])],
      }),
    );
    const results = await twice.run({ x: f32Tensor([2], [1, -2]) }, { only: ['size'] });
    expect(Object.keys(results)).toEqual(['size']);
    expect(results.size!.read().data).toEqual(Float32Array.of(1, 2));
  });

  test('takes scalars, empty tensors, 64-bit integers, booleans and half floats', async () => {
    using mixed = await compile(
      model({
        nodes: [
          node('Identity', ['scalar'], ['scalarOut']),
          node('Concat', ['empty', 'ints'], ['intsOut'], { attributes: { axis: 0 } }),
          node('Not', ['flags'], ['flagsOut']),
          node('Neg', ['half'], ['halfOut']),
        ],
        inputs: [
          value('scalar', []),
          value('empty', ['e'], 'i64'),
          value('ints', ['i'], 'i64'),
          value('flags', [2], 'bool'),
          value('half', [1], 'f16'),
        ],
        outputs: [
          value('scalarOut', []),
          value('intsOut', ['o'], 'i64'),
          value('flagsOut', [2], 'bool'),
          value('halfOut', [1], 'f16'),
        ],
      }),
    );
    const results = await mixed.run({
      scalar: f32Tensor([], [7]),
      empty: i64Tensor([0], []),
      ints: i64Tensor([2], [-5, 2 ** 40]),
      flags: hostTensor('bool', [2], Uint8Array.of(0, 1)),
      half: hostTensor('f16', [1], Uint16Array.of(0x3c00)),
    });
    expect(results.scalarOut!.read()).toEqual(f32Tensor([], [7]));
    expect(results.intsOut!.read()).toEqual(i64Tensor([2], [-5, 2 ** 40]));
    expect(results.flagsOut!.read()).toEqual(hostTensor('bool', [2], Uint8Array.of(1, 0)));
    expect(results.halfOut!.read()).toEqual(hostTensor('f16', [1], Uint16Array.of(0xbc00)));
  });

  test('an output without elements can be read', async () => {
    using add = await compile(addModel());
    const { y } = await add.run({ a: f32Tensor([0], []), b: f32Tensor([0], []) });
    expect(y!.read()).toEqual(f32Tensor([0], []));
  });
});

describe('external data', () => {
  const weights = Float32Array.from({ length: 12 }, (_, i) => i - 6);
  const file = join(folder, 'weights.bin');
  writeFileSync(file, Buffer.concat([Buffer.alloc(7), Buffer.from(weights.buffer)]));
  const { root } = parse(file);
  const location = relative(root, file).replaceAll('\\', '/');
  const withWeights = model({
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', ['n', 3])],
    initializers: [{ name: 'w', dtype: 'f32', shape: [4, 3], data: { location, offset: 7, length: 48 } }],
  });

  test.each([true, false])('weights come from a file, at an odd offset (prepack %s)', async prepack => {
    using executable = await compile(withWeights, { externalRoot: root, prepack });
    const { y } = await executable.run({ x: f32Tensor([1, 4], [0, 0, 1, 0]) });
    expect(y!.read().data).toEqual(weights.slice(6, 9));
  });
});

describe('binding', () => {
  test('runs many times into the same output and sees new input content', async () => {
    using add = await compile(addModel());
    using a = DeviceTensor.over(f32Tensor([2], [1, 2]));
    using b = DeviceTensor.zeros('f32', [2]);
    using y = DeviceTensor.allocate('f32', [2]);
    const binding = add.bind({ a, b }, { outputs: { y } });
    for (let step = 0; step < 3; step++) {
      b.write(Float32Array.of(step, -step));
      expect(await binding.run()).toEqual({ y });
      expect(y.read().data).toEqual(Float32Array.of(1 + step, 2 - step));
    }
  });

  test('an output bound over its input accumulates in place', async () => {
    using add = await compile(addModel());
    using a = DeviceTensor.zeros('f32', [2]);
    using b = DeviceTensor.over(f32Tensor([2], [1, 10]));
    const binding = add.bind({ a, b }, { outputs: { y: a } });
    for (let step = 0; step < 5; step++) await binding.run();
    expect(a.read().data).toEqual(Float32Array.of(5, 50));
  });

  test('unbound outputs are new at each run', async () => {
    using add = await compile(addModel());
    using a = DeviceTensor.over(f32Tensor([1], [1]));
    const binding = add.bind({ a, b: a });
    const first = await binding.run();
    a.write(Float32Array.of(2));
    const second = await binding.run();
    expect([first.y!.view()[0], second.y!.view()[0]]).toEqual([2, 4]);
  });

  test('set replaces tensors, or leaves the binding as it was when they do not fit', async () => {
    using add = await compile(addModel(), { name: 'add' });
    using one = DeviceTensor.over(f32Tensor([1], [1]));
    using two = DeviceTensor.over(f32Tensor([2], [2, 2]));
    const binding = add.bind({ a: one, b: one });
    expect(() => binding.set({ a: two })).toThrow('run(add): input "b": expected n = 2 as in input "a", got n = 1');
    expect((await binding.run()).y!.read().data).toEqual(Float32Array.of(2));
    binding.set({ a: two, b: two });
    expect((await binding.run()).y!.read().data).toEqual(Float32Array.of(4, 4));
  });

  test('refuses to run twice at once or to change while running', async () => {
    using add = await compile(addModel(), { name: 'add' });
    using a = DeviceTensor.over(f32Tensor([1], [1]));
    const binding = add.bind({ a, b: a });
    const run = binding.run();
    await expect(binding.run()).rejects.toThrow('internal: add: binding run twice at once');
    expect(() => binding.set({ a })).toThrow('internal: add: binding changed during its run');
    await run;
  });
});

describe('concurrency', () => {
  test('many runs of one executable at once give each its own result', async () => {
    using add = await compile(addModel());
    const runs = Array.from({ length: 300 }, async (_, i) => {
      const { y } = await add.run({ a: f32Tensor([1], [i]), b: f32Tensor([1], [1000]) });
      using result = y!;
      return result.view()[0];
    });
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 300 }, (_, i) => 1000 + i));
  });

  test('the event loop stays free during compilation and runs', async () => {
    let [ticks, longestGap, last] = [0, 0, performance.now()];
    const timer = setInterval(() => {
      const now = performance.now();
      [ticks, longestGap, last] = [ticks + 1, Math.max(longestGap, now - last), now];
    }, 2);
    const start = performance.now();
    using chain = await compile(matmulChain(2000));
    const compiled = performance.now();
    const { y } = await chain.run({ x: hostTensor('f32', [150, 150]) });
    const ended = performance.now();
    clearInterval(timer);
    y!.dispose();
    expect(ticks).toBeGreaterThan((ended - start) / 2 / 10);
    expect(longestGap).toBeLessThan(Math.min(compiled - start, ended - compiled));
  });
});

describe('lifetime', () => {
  test('disposed during a run: the run ends well, later ones are refused', async () => {
    const chain = await compile(matmulChain(50), { name: 'chain' });
    const x = DeviceTensor.zeros('f32', [100, 100]);
    const y = DeviceTensor.allocate('f32', [100, 100]);
    const run = chain.run({ x }, { outputs: { y } });
    chain.dispose();
    chain.dispose();
    x.dispose();
    y.dispose();
    await run;
    expect(chain.disposed).toBe(true);
    await expect(chain.run({ x: hostTensor('f32', [1, 1]) })).rejects.toThrow(
      'internal: executable chain used after dispose',
    );
  });

  test('an output outlives its executable', async () => {
    const add = await compile(addModel());
    const { y } = await add.run({ a: f32Tensor([1000], new Float32Array(1000).fill(1)), b: hostTensor('f32', [1000]) });
    add.dispose();
    expect(y!.view().every(x => x === 1)).toBe(true);
    y!.dispose();
  });

  test('a graph 5,000 nodes deep compiles and runs on the asynchronous stack', async () => {
    using deep = await compile(matmulChain(5000), { optimization: 'basic' });
    const { y } = await deep.run({ x: f32Tensor([1, 1], [1]) });
    expect(y!.read().data).toEqual(Float32Array.of(1));
  });
});
