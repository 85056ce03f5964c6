/** @file Which form of weights suits the processor. */

import type { WeightFormat } from '../../models/index.ts';
import { multipliesBytesExactly } from '../../runtime/index.ts';

/**
 * The form for `--quant auto`: `w8a16`, whose products take two passes over the activations and next to nothing of the quality,
 * where products of bytes are exact as they are; else `int8` in blocks, whose kernels are exact everywhere and need no slower ones.
 */
export async function suitableFormat(isExact: Promise<boolean> = multipliesBytesExactly()): Promise<WeightFormat> {
  return (await isExact) ? 'w8a16' : 'int8';
}
