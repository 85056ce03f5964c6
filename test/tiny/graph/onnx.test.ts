/** @file The ONNX form of a graph, read back field by field, and parameters stored in files and in other dtypes. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  castFloat,
  type DType,
  f32Tensor,
  type HostTensor,
  i64Tensor,
  tensorBytes,
  toFloat32,
} from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import { compileOutputs, rngFor, run } from './harness.ts';
import { type OnnxGraph, readOnnx } from './onnx-reader.ts';

const B = g.dim('B');
const x = g.input('x', 'f32', [B, 4]);
const w = g.param('w', [3, 4]);
const y = g.matMul(x, w, { transB: true });
const fed = (): g.ParamSource => ({ kind: 'input' });
const emit = (outputs: Record<string, g.Value>, source: (port: g.Port) => g.ParamSource = fed): OnnxGraph =>
  readOnnx(g.emitOnnx(g.buildGraph(outputs), source).bytes);
const opTypes = (graph: OnnxGraph) => graph.nodes.map(node => node.opType);

describe('names', () => {
  test('an op that is a graph output has that name, with no Identity', () => {
    const graph = emit({ product: y, sum: g.add(y, 1) });
    expect(opTypes(graph)).toEqual(['FusedMatMul', 'Add']);
    expect(graph.nodes.map(node => node.outputs)).toEqual([['product'], ['sum']]);
    expect(graph.nodes[1]!.inputs[0]).toBe('product');
    expect(graph.outputs).toEqual(['product', 'sum']);
  });

  test('a value with two names is copied once', () => {
    const graph = emit({ one: y, two: y });
    expect(graph.nodes.at(-1)).toMatchObject({ opType: 'Identity', inputs: ['one'], outputs: ['two'] });
    expect(graph.nodes).toHaveLength(2);
  });

  test('outputs that are an input, a parameter or a constant', async () => {
    const outputs = { copy: x, weight: w, number: g.scalar(3), x };
    expect(opTypes(emit(outputs))).toEqual(['Identity', 'Identity', 'Identity']);
    using executable = await compileOutputs(outputs);
    const [hostX, hostW] = [f32Tensor([1, 4], [1, 2, 3, 4]), f32Tensor([3, 4], new Float32Array(12).fill(5))];
    const got = await run(executable, { x: hostX, w: hostW });
    expect([got.copy!.data, got.x!.data, got.number!.data].map(data => [...data])).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [3],
    ]);
    expect([...got.weight!.data]).toEqual([...hostW.data]);
  });

  test('names that emission might make up are free to use', async () => {
    const [a, b] = ['c1', 't1'].map(name => g.input(name, 'f32', [B])) as [g.Value, g.Value];
    const sum = g.add(g.reduceSum(a, [0]), g.reduceSum(b, [0]));
    const outputs = { t2: g.mul(sum, 3), [`v${sum.id}`]: g.neg(sum) };
    using executable = await compileOutputs(outputs);
    const got = await run(executable, { c1: f32Tensor([2], [1, 2]), t1: f32Tensor([2], [3, 4]) });
    expect(Object.keys(outputs).map(name => got[name]!.data[0])).toEqual([30, -10]);
  });
});

describe('parts', () => {
  test('inputs, parameters that are fed, opsets', () => {
    const graph = emit({ y });
    expect(graph.inputs).toEqual(['x', 'w']);
    expect(graph.initializers).toEqual([]);
    expect(graph.opsets).toEqual({ '': 21, 'com.microsoft': 1 });
  });

  test('equal small constants and sizes are stored once', () => {
    const [a, b] = [g.fill(2, [B, 3]), g.fill(2, [B, 3])];
    const graph = emit({ z: g.mul(g.add(a, b), g.slice(x, 1, 0, 3)) });
    expect(opTypes(graph).filter(type => type === 'Shape')).toHaveLength(1);
    expect(opTypes(graph).filter(type => type === 'Concat')).toHaveLength(1);
    expect(graph.initializers.filter(({ dtype, dims }) => dtype === 1 && dims.length === 0)).toHaveLength(1);
  });

  test('one computed size in several shapes is computed once', () => {
    const [wide, narrow] = [3, 1].map(width => g.fill(2, [g.mulDims(B, 2), width])) as [g.Value, g.Value];
    const graph = emit({ sum: g.add(wide, narrow), negative: g.neg(x) });
    expect(opTypes(graph).toSorted()).toEqual(['Add', 'Concat', 'Concat', 'Expand', 'Expand', 'Mul', 'Neg', 'Shape']);
  });

  test('0 and −0 are two constants', async () => {
    const signs = g.concat([g.reciprocal(g.fill(0, [1])), g.reciprocal(g.fill(-0, [1]))], 0);
    using executable = await compileOutputs({ signs });
    expect([...(await run(executable, {})).signs!.data]).toEqual([Infinity, -Infinity]);
  });

  test('a cast for a parameter stored in another dtype', () => {
    const half = castFloat(f32Tensor([3, 4], new Float32Array(12)), 'f16');
    const graph = emit({ y }, () => ({ kind: 'host', tensor: half }));
    expect(opTypes(graph)).toEqual(['Cast', 'FusedMatMul']);
    expect(graph.nodes[0]!.outputs).toEqual(['w']);
    expect(graph.initializers).toMatchObject([
      { name: graph.nodes[0]!.inputs[0], dtype: 10, dims: [3, 4], external: {} },
    ]);
    expect(graph.inputs).toEqual(['x']);
  });

  test('a table of 16-bit numbers is looked up as it is, and the rows are cast', async () => {
    const table = castFloat(f32Tensor([3, 2], [1, 2, 3, 4, 5, 6]), 'f16');
    const rows = g.gather(g.param('t', [3, 2]), g.constant(i64Tensor([2], [2, 0])));
    const source = () => ({ kind: 'host', tensor: table }) as const;
    expect(opTypes(emit({ rows }, source))).toEqual(['Gather', 'Cast']);
    using executable = await compileOutputs({ rows }, source);
    expect([...(await run(executable, {})).rows!.data]).toEqual([5, 6, 1, 2]);
  });

  test('a table that is multiplied too is cast whole', () => {
    const table = castFloat(f32Tensor([3, 4], new Float32Array(12)), 'f16');
    const weight = g.param('w', [3, 4]);
    const outputs = {
      y: g.matMul(x, weight, { transB: true }),
      rows: g.gather(weight, g.constant(i64Tensor([1], [0]))),
    };
    const graph = emit(outputs, () => ({ kind: 'host', tensor: table }));
    expect(opTypes(graph)).toEqual(['Cast', 'FusedMatMul', 'Gather']);
  });

  test('external data', () => {
    const place = { kind: 'file', dtype: 'bf16', offset: 130, byteLength: 24 } as const;
    const location = (file: string) => emit({ y }, () => ({ ...place, file })).initializers[0]!.external;
    expect(location('/models/a b/weights.bin')).toEqual({
      location: 'models/a b/weights.bin',
      offset: '130',
      length: '24',
    });
    expect(location('C:\\models\\weights.bin').location).toBe('models/weights.bin');
  });
});

describe('parameters in a file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llava-graph-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Bytes before the data, so that it is not aligned. */
  const OFFSET = 131;

  async function storedValue(dtype: DType, tensor: HostTensor): Promise<Float32Array> {
    const file = join(folder, `${dtype}.bin`);
    const bytes = tensorBytes(tensor);
    await writeFile(file, Buffer.concat([new Uint8Array(OFFSET), bytes, new Uint8Array(7)]));
    const source: g.ParamSource = { kind: 'file', dtype, file, offset: OFFSET, byteLength: bytes.length };
    using executable = await compileOutputs({ y: g.neg(g.param('w', [5, 7])) }, () => source);
    const got = await run(executable, {});
    expect(got.y!.shape).toEqual([5, 7]);
    return Float32Array.from(got.y!.data, v => -v);
  }

  test.each(['f32', 'f16', 'bf16'] as const)('%s', async dtype => {
    const rng = rngFor(dtype);
    const stored = castFloat(
      f32Tensor(
        [5, 7],
        Float32Array.from({ length: 35 }, () => rng.normal()),
      ),
      dtype,
    );
    expect(await storedValue(dtype, stored)).toEqual(toFloat32(stored));
  });

  test.each(['f16', 'bf16'] as const)('%s kept in host memory', async dtype => {
    const rng = rngFor(dtype);
    const tensor = castFloat(
      f32Tensor(
        [2, 3],
        Float32Array.from({ length: 6 }, () => rng.normal()),
      ),
      dtype,
    );
    using executable = await compileOutputs({ y: g.neg(g.param('w', [2, 3])) }, () => ({ kind: 'host', tensor }));
    expect(Float32Array.from((await run(executable, {})).y!.data, v => -v)).toEqual(toFloat32(tensor));
  });

  test('a missing file is refused', async () => {
    const source: g.ParamSource = {
      kind: 'file',
      dtype: 'f32',
      file: join(folder, 'none.bin'),
      offset: 0,
      byteLength: 48,
    };
    await expect(compileOutputs({ y }, () => source)).rejects.toThrow(/none\.bin/);
  });
});

describe('products without FusedMatMul', () => {
  const a = g.input('a', 'f32', [2, 3, 5]);
  const flipped = g.input('flipped', 'f32', [2, 5, 3]);
  const b = g.input('b', 'f32', [2, 5, 4]);
  const rng = rngFor('plain');
  const random = (shape: readonly number[]) =>
    f32Tensor(
      shape,
      Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => rng.normal()),
    );

  test('are transposed and scaled by standard ops', async () => {
    const outputs = {
      plain: g.matMul(a, b),
      left: g.matMul(flipped, b, { transA: true }),
      right: g.matMul(b, b, { transB: true, alpha: 0.5 }),
    };
    const graph = g.buildGraph(outputs);
    const model = g.emitOnnx(graph, fed, { hasFusedMatMul: false });
    expect(opTypes(readOnnx(model.bytes))).toEqual(['MatMul', 'Transpose', 'MatMul', 'Transpose', 'MatMul', 'Mul']);
    const feeds = { a: random([2, 3, 5]), flipped: random([2, 5, 3]), b: random([2, 5, 4]) };
    using executable = await compile(model, { threads: 1 });
    using fused = await compileOutputs(outputs);
    const [got, want] = [await run(executable, feeds), await run(fused, feeds)];
    for (const [name, { data, shape }] of Object.entries(want)) {
      expect(got[name]!.shape).toEqual(shape);
      for (const [i, value] of data.entries()) expect(got[name]!.data[i]).toBeCloseTo(value, 5);
    }
  });
});
