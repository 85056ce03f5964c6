/** @file Which form of weights suits the processor. */

import { readFileSync } from 'node:fs';
import { arch } from 'node:os';
import type { WeightFormat } from '../../models/index.ts';

/** Instructions that multiply bytes without saturating in 16 bits on the way. */
const BYTE_PRODUCTS = /\b(avx512_vnni|avx_vnni|amx_int8)\b/;

/**
 * The form for `--quant auto`: `w8a16`, whose products take two passes over the activations and next to nothing of the quality,
 * where the processor multiplies bytes exactly; else `int8` in blocks, whose kernels are exact everywhere. Which instructions
 * an x64 processor has is only known on Linux.
 */
export function suitableFormat(cpuInfo: string | undefined = readCpuInfo()): WeightFormat {
  return arch() === 'x64' && cpuInfo !== undefined && BYTE_PRODUCTS.test(cpuInfo) ? 'w8a16' : 'int8';
}

/** The kernel's description of the processors; undefined where there is none. */
function readCpuInfo(): string | undefined {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return undefined;
  }
}
