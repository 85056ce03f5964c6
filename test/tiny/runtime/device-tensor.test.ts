import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DType, f32Tensor, hostTensor } from '../../../src/core/index.ts';
import { DeviceTensor, OrtError } from '../../../src/runtime/index.ts';

const DTYPES: DType[] = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u64', 'u32', 'u16', 'u8', 'bool'];

describe('memory', () => {
  test.each(DTYPES)('%s: zeros, write, read', dtype => {
    using tensor = DeviceTensor.zeros(dtype, [2, 3]);
    expect(tensor.read()).toEqual(hostTensor(dtype, [2, 3]));
    const { data } = hostTensor(dtype, [2, 3]);
    new Uint8Array(data.buffer).fill(1);
    tensor.write(data);
    expect(tensor.read()).toEqual({ dtype, shape: [2, 3], data });
    expect(tensor.byteLength).toBe(data.byteLength);
  });

  test('a tensor over a host array shares it, also from the middle of a buffer', () => {
    const array = Float32Array.of(1, 2, 3, 4, 5);
    using tensor = DeviceTensor.over(f32Tensor([2], array.subarray(2, 4)));
    using slice = tensor.slice(1, [1]);
    slice.write(Float32Array.of(40));
    expect(Array.from(array)).toEqual([1, 2, 3, 40, 5]);
    expect(tensor.view()).toEqual(Float32Array.of(3, 40));
  });

  test('read copies, view shares', () => {
    using tensor = DeviceTensor.zeros('f32', [2]);
    const [copy, view] = [tensor.read().data, tensor.view()];
    tensor.write(Float32Array.of(1, 2));
    expect(copy).toEqual(Float32Array.of(0, 0));
    expect(view).toEqual(Float32Array.of(1, 2));
  });

  test('slices of slices see the elements of the whole', () => {
    const whole = Float32Array.from({ length: 64 }, (_, i) => i);
    const range = (limit: number) =>
      fc.tuple(fc.nat(limit), fc.nat(limit)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
    fc.assert(
      fc.property(range(64), range(64), ([a, b], inner) => {
        using tensor = DeviceTensor.over(f32Tensor([8, 8], whole));
        using outer = tensor.slice(a!, [b! - a!]);
        const [c, d] = inner.map(x => Math.min(x, outer.size)) as [number, number];
        using slice = outer.slice(c, [d - c]);
        expect(slice.read().data).toEqual(whole.slice(a! + c, a! + d));
      }),
    );
  });
});

describe('lifetime', () => {
  test('disposing twice is fine; using after it is our bug, not a crash', () => {
    const tensor = DeviceTensor.zeros('f32', [4]);
    tensor.dispose();
    tensor.dispose();
    expect(tensor.disposed).toBe(true);
    for (const use of [() => tensor.view(), () => tensor.read(), () => tensor.slice(0, [1]), () => tensor.handle]) {
      expect(use).toThrow('internal: tensor f32 [4] used after dispose');
    }
    expect(() => tensor.write(new Float32Array(4))).toThrow('used after dispose');
  });

  test('a view keeps the memory, also after dispose', () => {
    const tensor = DeviceTensor.zeros('f32', [1_000_000]);
    const view = tensor.view();
    tensor.write(new Float32Array(1_000_000).fill(3));
    tensor.dispose();
    expect(view.every(x => x === 3)).toBe(true);
  });

  test('a host array stays as it is after dispose', () => {
    const array = Float32Array.of(1, 2);
    const tensor = DeviceTensor.over(f32Tensor([2], array));
    tensor.dispose();
    expect(array).toEqual(Float32Array.of(1, 2));
  });

  test('a slice outlives the tensor it came from', () => {
    const tensor = DeviceTensor.zeros('i32', [1_000_000]);
    using slice = tensor.slice(999_999, [1]);
    slice.write(Int32Array.of(5));
    tensor.dispose();
    expect(slice.view()).toEqual(Int32Array.of(5));
  });
});

describe('refusals', () => {
  test('more memory than there is', () => {
    expect(() => DeviceTensor.allocate('f32', [2 ** 48])).toThrow(OrtError);
    expect(() => DeviceTensor.allocate('f32', [2 ** 48])).toThrow(/^allocate f32 \[281474976710656\]: /);
    expect(() => DeviceTensor.allocate('f32', [2 ** 40, 2 ** 40])).toThrow(/overflow/);
  });

  test.each([[[-1]], [[1.5]], [[Number.NaN]]])('shape %j', shape => {
    expect(() => DeviceTensor.allocate('f32', shape)).toThrow(`internal: tensor of shape [${shape}]`);
  });

  test('slices beyond the end, and data of another length or type', () => {
    using tensor = DeviceTensor.zeros('f32', [4]);
    expect(() => tensor.slice(3, [2])).toThrow('internal: slice [3, 5) of 4 elements');
    expect(() => tensor.slice(-1, [2])).toThrow('internal: slice [-1, 1) of 4 elements');
    expect(() => tensor.write(new Float32Array(3))).toThrow('internal: write Float32Array(3) to f32 [4]');
    expect(() => tensor.write(new Int32Array(4))).toThrow('internal: write Int32Array(4) to f32 [4]');
  });

  test('views of 4 GiB and more, which would abort the process', () => {
    using tensor = DeviceTensor.allocate('u8', [2 ** 32]);
    expect(() => tensor.view()).toThrow('internal: view of 4294967296 bytes; slice the tensor');
    using end = tensor.slice(2 ** 32 - 2, [2]);
    end.write(Uint8Array.of(1, 2));
    expect(end.view()).toEqual(Uint8Array.of(1, 2));
  });
});
