import { describe, expect, test } from 'vitest';
import {
  AbortedError,
  f32Tensor,
  type HostTensor,
  hostTensor,
  i64Tensor,
  LlavaError,
} from '../../../src/core/index.ts';
import type { OnnxModel } from '../../../src/graph/index.ts';
import { compile, DeviceTensor, OrtError } from '../../../src/runtime/index.ts';
import { addModel, matmulChain, model, node, value } from './onnx-bytes.ts';

const oneNode = (op: string, dtype: 'f32' | 'bool' = 'f32'): OnnxModel =>
  model({
    nodes: [node(op, ['x', 'x'], ['y'])],
    inputs: [value('x', ['n'], dtype)],
    outputs: [value('y', ['n'], dtype)],
  });

describe('models that ONNX Runtime refuses', () => {
  const garbage = (bytes: Uint8Array): OnnxModel => ({ bytes, inputs: [], outputs: [] });
  const missingFile = model({
    nodes: [node('Add', ['x', 'w'], ['y'])],
    inputs: [value('x', [1])],
    outputs: [value('y', [1])],
    initializers: [
      { name: 'w', dtype: 'f32', shape: [1], data: { location: 'no/such/weights.bin', offset: 0, length: 4 } },
    ],
  });
  const absolute = model({
    nodes: [node('Add', ['x', 'w'], ['y'])],
    inputs: [value('x', [1])],
    outputs: [value('y', [1])],
    initializers: [{ name: 'w', dtype: 'f32', shape: [1], data: { location: '/no/file', offset: 0, length: 4 } }],
  });

  test.each([
    ['garbage bytes', garbage(Buffer.from('this is not a model')), 'invalid-protobuf', /parse|protobuf/i],
    ['no bytes', garbage(new Uint8Array()), 'invalid-argument', /./],
    ['a truncated model', garbage(addModel().bytes.slice(0, -20)), 'invalid-protobuf', /parse|protobuf/i],
    ['an unknown op', oneNode('NoSuchOp'), 'invalid-graph', /NoSuchOp/],
    ['an op without that element type', oneNode('Add', 'bool'), 'invalid-graph', /tensor\(bool\)/],
    ['weights in a file that is not there', missingFile, 'fail', /no\/such\/weights\.bin/],
    ['weights at an absolute location', absolute, 'fail', /Absolute path not allowed/],
  ])('%s', async (_, bad, code, message) => {
    const error = await compile(bad, { name: 'bad' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OrtError);
    expect((error as OrtError).message).toMatch(/^compile\(bad\): [^\n]*$/);
    expect((error as OrtError).message).toMatch(message);
    expect((error as OrtError).code).toBe(code);
  });
});

test('a number of threads that is none', async () => {
  await expect(compile(addModel(), { name: 'add', threads: 0 })).rejects.toThrow('internal: compile(add): threads 0');
});

describe('feeds that do not fit', () => {
  const x = f32Tensor([2], [1, 2]);
  const feeds = (changes: Record<string, HostTensor>) => ({ a: x, b: x, ...changes });

  test.each([
    ['unknown name', feeds({ c: x }), 'run(add): expected a known input, got "c" (did you mean "a"?)'],
    ['missing input', { a: x }, 'run(add): expected 2 inputs, got none for "b" (f32 [n])'],
    ['wrong dtype', feeds({ b: hostTensor('i32', [2]) }), 'run(add): input "b": expected f32 [n], got i32 [2]'],
    ['wrong rank', feeds({ b: f32Tensor([1, 2], [1, 2]) }), 'run(add): input "b": expected f32 [n], got f32 [1, 2]'],
    [
      'sizes that differ between inputs',
      feeds({ b: hostTensor('f32', [3]) }),
      'run(add): input "b": expected n = 2 as in input "a", got n = 3',
    ],
  ])('%s', async (_, bad, message) => {
    using add = await compile(addModel(), { name: 'add' });
    await expect(add.run(bad)).rejects.toThrow(new LlavaError(message));
  });

  test('fixed sizes are checked', async () => {
    using fixed = await compile(
      model({ nodes: [node('Neg', ['x'], ['y'])], inputs: [value('x', [3])], outputs: [value('y', [3])] }),
    );
    await expect(fixed.run({ x })).rejects.toThrow('run(model): input "x": expected f32 [3], got f32 [2]');
  });

  test('bound outputs are checked against the inputs', async () => {
    using add = await compile(addModel(), { name: 'add' });
    using small = DeviceTensor.zeros('f32', [1]);
    await expect(add.run({ a: x, b: x }, { outputs: { y: small } })).rejects.toThrow(
      'run(add): output "y": expected n = 2 as in input "a", got n = 1',
    );
    await expect(add.run({ a: x, b: x }, { outputs: { z: small } })).rejects.toThrow(
      'run(add): expected a known output, got "z" (did you mean "y"?)',
    );
    await expect(add.run({ a: x, b: x }, { only: ['z'] })).rejects.toThrow('expected a known output, got "z"');
  });
});

describe('failures inside a run', () => {
  const gather = model({
    nodes: [node('Gather', ['table', 'rows'], ['y'])],
    inputs: [value('table', ['n']), value('rows', ['m'], 'i64')],
    outputs: [value('y', ['m'])],
  });
  const expand = model({
    nodes: [node('Expand', ['x', 'shape'], ['y'])],
    inputs: [value('x', [1]), value('shape', [2], 'i64')],
    outputs: [value('y', ['n', 'm'])],
  });
  const x = f32Tensor([1], [1]);

  test('an index out of range', async () => {
    using executable = await compile(gather, { name: 'gather' });
    const run = executable.run({ table: f32Tensor([2], [1, 2]), rows: i64Tensor([1], [2]) });
    await expect(run).rejects.toThrow(/^run\(gather\): .*Gather.*idx=2 must be within the inclusive range \[-2,1\]$/);
    const again = await executable.run({ table: f32Tensor([2], [1, 2]), rows: i64Tensor([1], [1]) });
    expect(again.y!.read().data).toEqual(Float32Array.of(2));
  });

  test.each([
    ['more memory than there is', [2 ** 20, 2 ** 28], /Failed to allocate memory/],
    ['a size that overflows', [2 ** 40, 2 ** 40], /overflow/],
    ['a negative size', [-5, 3], /./],
  ])('%s', async (_, shape, message) => {
    using executable = await compile(expand, { name: 'expand' });
    const run = executable.run({ x, shape: i64Tensor([2], shape) });
    const error = await run.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OrtError);
    expect((error as OrtError).message).toMatch(message);
  });

  test('an output larger than the tensor bound to it', async () => {
    using executable = await compile(expand, { name: 'expand' });
    using y = DeviceTensor.zeros('f32', [1, 2]);
    const run = executable.run({ x, shape: i64Tensor([2], [4, 4]) }, { outputs: { y } });
    await expect(run).rejects.toBeInstanceOf(OrtError);
  });
});

describe('cancelling', () => {
  const x = hostTensor('f32', [400, 400]);

  test('a run stops soon after its signal fires, and the executable is usable again', async () => {
    using chain = await compile(matmulChain(2000), { name: 'chain' });
    const controller = new AbortController();
    const run = chain.run({ x }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(run).rejects.toThrow(new AbortedError('run(chain): aborted'));
    const { y } = await chain.run({ x: f32Tensor([1, 1], [1]) }, { signal: new AbortController().signal });
    expect(y!.read().data).toEqual(Float32Array.of(1));
  });

  test('a signal that has fired already', async () => {
    using add = await compile(addModel(), { name: 'add' });
    const run = add.run({ a: x, b: x } as never, { signal: AbortSignal.abort() });
    await expect(run).rejects.toBeInstanceOf(LlavaError);
    const one = f32Tensor([1], [1]);
    await expect(add.run({ a: one, b: one }, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError);
  });

  test('runs waiting in line are cancelled too', async () => {
    using chain = await compile(matmulChain(2000));
    const controller = new AbortController();
    const runs = Array.from({ length: 6 }, () => chain.run({ x }, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 20);
    const results = await Promise.allSettled(runs);
    expect(results.every(result => result.status === 'rejected' && result.reason instanceof AbortedError)).toBe(true);
  });
});
