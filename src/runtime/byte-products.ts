/**
 * @file Whether the processor multiplies bytes exactly, as ONNX Runtime has it do. Its kernels for u8 by i8 add two products in 16
 * bits, and cut off what does not fit, on x64 processors with AVX2 or AVX-512 but without VNNI or AMX: 2·255·127 is 64,770, of
 * which 32,767 are left. Those for plain SSE, for VNNI and AMX and for arm64 (dot products and matrix products of bytes, else
 * sums in 16 bits of numbers from −128 to 127 by −127 to 127) are exact.
 *
 * Tried with onnxruntime 1.30 by scripts/check-products.mjs, emulated but for VNNI: w8a8, w8a16 and w16a16 are wrong on Haswell
 * unless weights become u8; with that exact there and on Skylake; and exact as they are on Nehalem, Westmere, Cortex-A72, Cortex-A76,
 * an arm64 with all extensions and with VNNI. int8 and int4 in blocks are exact on all of them.
 */

import { f32Tensor, hostTensor } from '../core/index.ts';
import { buildGraph, emitOnnx, input, integerMatMul, type OnnxModel, param } from '../graph/index.ts';
import { Binding } from './binding.ts';
import { createSession } from './create-session.ts';
import { DeviceTensor } from './device-tensor.ts';
import { Session } from './session.ts';

const [ROWS, INPUTS, OUTPUTS] = [2, 64, 16];

/** Whether a model has such products: the names of its nodes stand in it as text. */
export function multipliesBytes({ bytes }: OnnxModel): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('MatMulInteger');
}

let known: Promise<boolean> | undefined;

/** Asks ONNX Runtime for products of the largest codes, once: whatever the system, it knows the processor's instructions. */
export function multipliesBytesExactly(): Promise<boolean> {
  known ??= tryProducts();
  return known;
}

async function tryProducts(): Promise<boolean> {
  const model = largestCodes();
  const name = 'products of bytes';
  const pointer = await createSession(model, { name, threads: 1, spinning: false, exactBytes: true });
  const session = new Session(name, model, pointer);
  using x = DeviceTensor.over(hostTensor('u8', [ROWS, INPUTS], new Uint8Array(ROWS * INPUTS).fill(255)));
  try {
    const { y } = await new Binding(session, { x }, {}).run();
    using product = y!;
    return product.read().data.every(value => value === INPUTS * (255 - 128) * 127);
  } finally {
    session.owned.dispose();
  }
}

/** u8 codes by weights of 127. */
function largestCodes(): OnnxModel {
  const product = integerMatMul(
    input('x', 'u8', [ROWS, INPUTS]),
    param('weight', [INPUTS, OUTPUTS], 'i8'),
    param('scale', [OUTPUTS]),
  );
  const weights = {
    weight: hostTensor('i8', [INPUTS, OUTPUTS], new Int8Array(INPUTS * OUTPUTS).fill(127)),
    scale: f32Tensor([OUTPUTS], new Float32Array(OUTPUTS).fill(1)),
  };
  return emitOnnx(buildGraph({ y: product }), ({ name }) => ({
    kind: 'host',
    tensor: weights[name as keyof typeof weights],
  }));
}
