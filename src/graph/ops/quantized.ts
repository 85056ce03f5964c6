/**
 * @file Products with quantised weights, for inference only. Activations are quantised when they come, row by row; weights
 * beforehand. Shapes: R rows, K inputs, N outputs, G blocks of a weight's row.
 *
 * u8 activations with zero point 128 and s8 weights are the one combination that ONNX Runtime's CPU kernels run at the speed
 * of the processor's integer products.
 */

import { isFloat } from '../../core/index.ts';
import { addDims, type Dim, sameDim, sameShape } from '../dim.ts';
import { defineOp, type EmitContext, expectOperands } from '../op.ts';
import type { TensorType, Value } from '../value.ts';
import { ONNX_DTYPE } from './elementwise.ts';

const MICROSOFT = 'com.microsoft';
const ZERO_POINT = 128;
/** Keeps the scale of a row of zeros from being zero. */
const TINY = 1e-30;

interface QuantizeRowsAttrs {
  /** Bits of a code: one row of bytes, or two. */
  readonly bits: 8 | 16;
}

const applyQuantizeRows = defineOp<QuantizeRowsAttrs>({
  name: 'quantizeRows',
  formula:
    '8 bits: s = max|x|/127 of each row, codes round(x/s) + 128; 16 bits: s = max|x|/32512, h = round(x/256s), ' +
    'codes of all rows h + 128, then of all rows min(round(x/s − 256h) + 128, 255)',
  infer: (inputs, { bits }) => {
    const [x] = inputs as [TensorType];
    expectOperands(x.dtype === 'f32' && x.shape.length === 2, 'quantizeRows', 'f32 [R, K]', inputs);
    const [rows, width] = x.shape as [Dim, Dim];
    return [
      { dtype: 'u8', shape: [bits === 8 ? rows : addDims(rows, rows), width] },
      { dtype: 'f32', shape: [rows, 1] },
    ];
  },
  grad: 'not differentiable',
  emit: c => {
    const [codes, scale] = c.outputs as [string, string];
    const wide = c.attrs.bits === 16;
    emitRowScale(c, scale, wide ? 127 * 256 : 127);
    (wide ? emitTwoByteCodes : emitByteCodes)(c, scale, codes);
  },
});

/** max|x| of each row over `levels`, at least {@link TINY}. */
function emitRowScale(c: EmitContext<QuantizeRowsAttrs>, output: string, levels: number): void {
  const axes = [c.inputs[0]!, c.ints([1])];
  const most = c.node('ReduceMax', axes, { attributes: { keepdims: 1 } });
  const least = c.node('ReduceMin', axes, { attributes: { keepdims: 1 } });
  const magnitude = c.node('Max', [most, c.node('Neg', [least]), c.scalar(TINY, 'f32')]);
  c.node('Mul', [magnitude, c.scalar(1 / levels, 'f32')], { outputs: [output] });
}

function emitByteCodes(c: EmitContext<QuantizeRowsAttrs>, scale: string, output: string): void {
  const zero = zeroPoints(c);
  c.node('QuantizeLinear', [c.inputs[0]!, flatScale(c, scale), zero], { attributes: { axis: 0 }, outputs: [output] });
}

/** The high byte is the value in steps of 256, the low one what it leaves: 5 kernels where sums and roundings take 11. */
function emitTwoByteCodes(c: EmitContext<QuantizeRowsAttrs>, scale: string, output: string): void {
  const [x, zero, step] = [c.inputs[0]!, zeroPoints(c), flatScale(c, scale)];
  const wideStep = c.node('Mul', [step, c.scalar(256, 'f32')]);
  const byRow = { attributes: { axis: 0 } };
  const high = c.node('QuantizeLinear', [x, wideStep, zero], byRow);
  const rest = c.node('Sub', [x, c.node('DequantizeLinear', [high, wideStep, zero], byRow)]);
  const low = c.node('QuantizeLinear', [rest, step, zero], byRow);
  c.node('Concat', [high, low], { attributes: { axis: 0 }, outputs: [output] });
}

const flatScale = (c: EmitContext<QuantizeRowsAttrs>, scale: string): string =>
  c.node('Reshape', [scale, c.ints([-1])]);

/**
 * One zero point for each row. Made from the sizes alone, so that ONNX Runtime makes it once for a whole model. Floats become bytes,
 * since WebGPU takes Expand of bytes upon itself and then cannot do it.
 */
function zeroPoints(c: EmitContext<QuantizeRowsAttrs>): string {
  const floats = c.node('Expand', [c.scalar(ZERO_POINT, 'f32'), c.dims([c.inputTypes[0]!.shape[0]!])]);
  return c.node('Cast', [floats], { attributes: { to: ONNX_DTYPE.u8 } });
}

/** Rows of activations as codes, and what one step of a code is worth. */
export interface QuantizedRows {
  /** u8 [R, K], or [2R, K] for 16 bits: the high bytes of all rows, then the low ones */
  readonly codes: Value;
  /** f32 [R, 1] */
  readonly scale: Value;
}

/** Quantises each row of f32 [R, K], symmetric around code 128. */
export function quantizeRows(x: Value, bits: QuantizeRowsAttrs['bits']): QuantizedRows {
  const [codes, scale] = applyQuantizeRows([x], { bits }) as [Value, Value];
  return { codes, scale };
}

const applyIntegerMatMul = defineOp<object>({
  name: 'integerMatMul',
  formula: '(a − 128)·B·s, codes a by whole numbers B in exact arithmetic, each column by its scale s',
  infer: inputs => {
    const [codes, weight, scale] = inputs as [TensorType, TensorType, TensorType];
    const fits =
      codes.dtype === 'u8' &&
      weight.dtype === 'i8' &&
      scale.dtype === 'f32' &&
      [codes, weight].every(x => x.shape.length === 2) &&
      scale.shape.length === 1 &&
      sameDim(codes.shape[1]!, weight.shape[0]!) &&
      sameDim(weight.shape[1]!, scale.shape[0]!);
    expectOperands(fits, 'integerMatMul', 'u8 [R, K], i8 [K, N] and f32 [N]', inputs);
    return [{ dtype: 'f32', shape: [codes.shape[0]!, weight.shape[1]!] }];
  },
  grad: 'not differentiable',
  emit: c => {
    const [codes, weight, scale] = c.inputs as [string, string, string];
    const operands = [codes, weight, c.scalar(1, 'f32'), scale, c.scalar(ZERO_POINT, 'u8')];
    c.node('MatMulIntegerToFloat', operands, { domain: MICROSOFT, outputs: c.outputs });
  },
});

/**
 * @param codes u8 [R, K], zero point 128
 * @param weight i8 [K, N]
 * @param scale f32 [N]: what one step of each column is worth
 * @returns f32 [R, N]
 */
export function integerMatMul(codes: Value, weight: Value, scale: Value): Value {
  return applyIntegerMatMul([codes, weight, scale], {})[0]!;
}

interface BlockMatMulAttrs {
  /** Bits of a weight. */
  readonly bits: 4 | 8;
  /** Weights of a row that share a scale. */
  readonly blockSize: number;
}

const applyBlockMatMul = defineOp<BlockMatMulAttrs>({
  name: 'blockMatMul',
  formula:
    'A·Wᵀ, w = (code − z)·s of the block, z its own where it is given, else 2^(bits−1); codes packed along K, low bits first; ' +
    'A rounded to 8 bits by block',
  infer: (inputs, { bits, blockSize }) => {
    const [x, packed, scale, zero] = inputs as [TensorType, TensorType, TensorType, TensorType | undefined];
    const [rows, blocks, bytes] = packed.shape;
    const fits =
      isFloat(x.dtype) &&
      x.shape.length >= 2 &&
      packed.dtype === 'u8' &&
      packed.shape.length === 3 &&
      scale.dtype === x.dtype &&
      scale.shape.length === 2 &&
      bytes === (blockSize * bits) / 8 &&
      x.shape.at(-1) === (blocks as number) * blockSize &&
      scale.shape[0] === rows &&
      scale.shape[1] === blocks &&
      (zero === undefined ||
        (zero.dtype === 'u8' && sameShape(zero.shape, [rows!, zeroBytes(blocks as number, bits)])));
    const expected = `floats [R, K], u8 [N, G, ${(blockSize * bits) / 8}], [N, G] of the same type and u8 [N, ⌈G·${bits}/8⌉] or none, G·${blockSize} = K`;
    expectOperands(fits, 'blockMatMul', expected, inputs);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, -1), rows!] }];
  },
  grad: 'not differentiable',
  emit: c => {
    const { bits, blockSize } = c.attrs;
    const attributes = {
      K: c.inputTypes[0]!.shape.at(-1) as number,
      N: c.inputTypes[1]!.shape[0] as number,
      bits,
      block_size: blockSize,
      accuracy_level: 4, // products in 8-bit integers: three times as fast at one row as in f32
    };
    c.node('MatMulNBits', c.inputs, { domain: MICROSOFT, attributes, outputs: c.outputs });
  },
});

/** Bytes in which the zero codes of a row of `blocks` are packed. */
export function zeroBytes(blocks: number, bits: 4 | 8): number {
  return Math.ceil((blocks * bits) / 8);
}

/** Weights of {@link blockMatMul}. */
export interface BlockWeights {
  /** u8 [N, G, blockSize·bits/8] */
  readonly packed: Value;
  /** f32 or f16 [N, G] */
  readonly scale: Value;
  /** u8 [N, {@link zeroBytes}(G)]: codes of 0. Default: all 2^(bits−1). */
  readonly zero?: Value;
}

/**
 * @param x f32 or f16 [..., K], the scales of the same type
 * @returns [..., N] of that type
 */
export function blockMatMul(x: Value, { packed, scale, zero }: BlockWeights, attrs: BlockMatMulAttrs): Value {
  return applyBlockMatMul([x, packed, scale, ...(zero ? [zero] : [])], attrs)[0]!;
}
