import { ALGEBRA } from './algebra.ts';
import { ATTENTION } from './attention.ts';
import type { OpCase } from './case.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { MOVEMENT } from './movement.ts';
import { QUANTIZED } from './quantized.ts';

/** Every op of the table, in several shapes. */
export const CASES: readonly OpCase[] = [...ELEMENTWISE, ...MOVEMENT, ...ALGEBRA, ...ATTENTION, ...QUANTIZED];
