/**
 * @file Linear layers in every form that their weights are stored in. A layer asks its scope which: one definition of a
 * model gives the float graph, which trains, and the quantised ones. Shapes: K inputs, N outputs, R rows, all leading axes
 * of the input together.
 */

import {
  add,
  blockMatMul,
  concat,
  integerMatMul,
  matMul,
  mul,
  quantizeRows,
  reduceSum,
  reshape,
  shapeSize,
  slice,
  type Value,
  zeroBytes,
} from '../graph/index.ts';
import type { Scope } from './scope.ts';

/**
 * How a linear layer's weight is stored and multiplied.
 * - `float`: f32, f16 or bf16 [N, K]
 * - `f16`: the same, stored as f16 whatever it was before
 * - `w8a8`: whole numbers of 8 bits with a scale for each output, and activations rounded to 8 bits row by row
 * - `w8a16`: the same weights, activations as two bytes: outliers among the inputs do no harm
 * - `w16a16`: weights as two bytes too, but for the product of both low bytes: more exact than products of bf16
 * - `int8`, `int4`: 8 or 4 bits with a scale for each {@link BLOCK_SIZE} inputs, those of 4 with a code for 0 too; activations
 *   rounded to 8 bits block by block
 */
export const WEIGHT_FORMATS = ['float', 'f16', 'w8a8', 'w8a16', 'w16a16', 'int8', 'int4'] as const;

/** One of {@link WEIGHT_FORMATS}. */
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Inputs that share a scale in the block formats. */
export const BLOCK_SIZE = 32;

type Product = (scope: Scope, x: Value, outFeatures: number) => Value;

const PRODUCTS: { readonly [K in WeightFormat]: Product } = {
  float: floatProduct,
  f16: floatProduct,
  w8a8: (scope, x, outFeatures) => byteProduct(scope, x, outFeatures, 8),
  w8a16: (scope, x, outFeatures) => byteProduct(scope, x, outFeatures, 16),
  w16a16: (scope, x, outFeatures) => wordProduct(scope, x, outFeatures),
  int8: (scope, x, outFeatures) => blockProduct(scope, x, outFeatures, 8),
  int4: (scope, x, outFeatures) => blockProduct(scope, x, outFeatures, 4),
};

/** x·Wᵀ + b over the last axis. Bias is on unless switched off. */
export function linear(scope: Scope, x: Value, outFeatures: number, options: { bias?: boolean } = {}): Value {
  const product = PRODUCTS[scope.weightFormat()](scope, x, outFeatures);
  return (options.bias ?? true) ? add(product, scope.param('bias', [outFeatures])) : product;
}

const width = (x: Value): number => x.shape.at(-1) as number;

function floatProduct(scope: Scope, x: Value, outFeatures: number): Value {
  return matMul(x, scope.param('weight', [outFeatures, width(x)]), { transB: true });
}

/** Weights `weight.int8` i8 [K, N] and `weight.scale` [N]. Both bytes of an activation are rows of one product. */
function byteProduct(scope: Scope, x: Value, outFeatures: number, bits: 8 | 16): Value {
  const { codes, scale } = quantizedRows(x, bits);
  const weight = scope.param('weight.int8', [width(x), outFeatures], 'i8');
  const product = integerMatMul(codes, weight, scope.param('weight.scale', [outFeatures]));
  const whole = bits === 8 ? mul(product, scale) : joinBytes(product, scale);
  return reshape(whole, [...x.shape.slice(0, -1), outFeatures]);
}

/**
 * Weights `weight.int8` and `weight.low` i8 [K, N], w = (256·int8 + low)·s. Three products of bytes: both of the activations with
 * the high ones of the weights, the high ones with the low.
 */
function wordProduct(scope: Scope, x: Value, outFeatures: number): Value {
  const { codes, scale } = quantizedRows(x, 16);
  const bytes = (name: string) => scope.param(name, [width(x), outFeatures], 'i8');
  const [high, low] = [bytes('weight.int8'), bytes('weight.low')];
  const step = scope.param('weight.scale', [outFeatures]);
  const first = joinBytes(integerMatMul(codes, high, step), scale);
  const second = mul(integerMatMul(slice(codes, 0, 0, scale.shape[0]!), low, step), scale);
  return reshape(mul(add(first, second), 256), [...x.shape.slice(0, -1), outFeatures]);
}

/** (256·(product of the high bytes) + product of the low ones)·scale: each row scaled, then both halves summed. */
function joinBytes(product: Value, scale: Value): Value {
  const [rows, outFeatures] = [scale.shape[0]!, product.shape[1]!];
  const scaled = mul(product, concat([mul(scale, 256), scale], 0));
  return reduceSum(reshape(scaled, [2, rows, outFeatures]), [0]);
}

type Rows = ReturnType<typeof quantizeRows>;
const known = { 8: new WeakMap<Value, Rows>(), 16: new WeakMap<Value, Rows>() } as const;

/** The codes of x, made once for all layers that read it (queries, keys and values; gate and up). */
function quantizedRows(x: Value, bits: 8 | 16): Rows {
  const made = known[bits].get(x) ?? quantizeRows(reshape(x, [shapeSize(x.shape.slice(0, -1)), width(x)]), bits);
  known[bits].set(x, made);
  return made;
}

/**
 * Weights `weight.int<bits>` u8 [N, K/block, block·bits/8] and `weight.scale` [N, K/block]; those of 4 bits have a code for 0 in
 * each block, `weight.zero`, two to a byte.
 */
function blockProduct(scope: Scope, x: Value, outFeatures: number, bits: 4 | 8): Value {
  const blocks = width(x) / BLOCK_SIZE;
  const packed = scope.param(`weight.int${bits}`, [outFeatures, blocks, (BLOCK_SIZE * bits) / 8], 'u8');
  const scale = scope.param('weight.scale', [outFeatures, blocks]);
  const zero = bits === 4 && scope.param('weight.zero', [outFeatures, zeroBytes(blocks, bits)], 'u8');
  return blockMatMul(x, { packed, scale, ...(zero && { zero }) }, { bits, blockSize: BLOCK_SIZE });
}
