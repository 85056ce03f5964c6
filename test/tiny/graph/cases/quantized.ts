/** @file Cases of products with quantised weights. */

import * as g from '../../../../src/graph/index.ts';
import type { Nd } from '../nd.ts';
import { blockMatMul, byteRows, integerMatMul, twoByteRows } from '../reference.ts';
import { B, casesOf, coarse, f32, integers, NON_EMPTY, type OpCase, type Operand, positive, withType } from './case.ts';

const bytes = (...shape: g.Dim[]): Operand => withType('u8', integers(256, ...shape));
const signed = (...shape: g.Dim[]): Operand => ({
  ...withType('i8', integers(255, ...shape)),
  draw: rng => rng.int(255) - 127,
});
const scales = (...shape: g.Dim[]): Operand => withType('f32', positive(...shape));

/** Activations of −1, 0 and 1 lose nothing where the kernel rounds them to 8 bits. */
function blocks(bits: 4 | 8, blockSize: number, x: Operand, count: number, zeros?: 'zeros'): OpCase[] {
  const zero = zeros && bytes(5, g.zeroBytes(count, bits));
  const operands = [x, bytes(5, count, (blockSize * bits) / 8), scales(5, count), ...(zero ? [zero] : [])];
  const apply = (...[rows, packed, scale, codes]: g.Value[]): g.Value =>
    g.blockMatMul(rows!, { packed: packed!, scale: scale!, ...(codes && { zero: codes }) }, { bits, blockSize });
  const reference = (...[rows, packed, scale, codes]: Nd[]): Nd => blockMatMul(rows!, packed!, scale!, bits, codes);
  const name = `${bits} bits, blocks of ${blockSize}${zeros ? ', zero codes' : ''}`;
  return casesOf('blockMatMul', [name, operands, apply, reference]);
}

export const QUANTIZED: readonly OpCase[] = [
  ...casesOf(
    'quantizeRows',
    ['one byte', [f32(3, 7)], x => g.quantizeRows(x, 8).codes, byteRows],
    ['two bytes', [f32(3, 7)], x => g.quantizeRows(x, 16).codes, twoByteRows],
    ['named sizes', [f32(B, 5)], x => g.quantizeRows(x, 16).codes, twoByteRows, NON_EMPTY],
  ),
  ...casesOf(
    'integerMatMul',
    ['numbers', [bytes(3, 8), signed(8, 5), scales(5)], g.integerMatMul, integerMatMul],
    ['named sizes', [bytes(B, 4), signed(4, 2), scales(2)], g.integerMatMul, integerMatMul, NON_EMPTY],
  ),
  ...blocks(4, 32, coarse(3, 64), 2),
  ...blocks(4, 16, coarse(1, 16), 1),
  ...blocks(8, 32, coarse(2, 3, 32), 1),
  ...blocks(4, 32, coarse(3, 96), 3, 'zeros'),
  ...blocks(4, 16, coarse(1, 32), 2, 'zeros'),
];
