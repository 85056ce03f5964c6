/** @file Whether two sides compute the same: how alike their outputs are. */

import { LlavaError } from '../src/core/index.ts';
import { type Row, row } from './rows.ts';

type Numbers = ArrayLike<number>;

/** Cosine of the angle between two vectors. */
export function cosine(a: Numbers, b: Numbers): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/**
 * Correlation of two vectors over the places where both are finite: the same for logits as for the log-probabilities that
 * they become.
 */
export function correlation(a: Numbers, b: Numbers): number {
  const places = Array.from({ length: a.length }, (_, i) => i).filter(
    i => Number.isFinite(a[i]!) && Number.isFinite(b[i]!),
  );
  const centred = (values: Numbers): number[] => {
    const chosen = places.map(i => values[i]!);
    const mean = chosen.reduce((sum, value) => sum + value, 0) / chosen.length;
    return chosen.map(value => value - mean);
  };
  return cosine(centred(a), centred(b));
}

/** Place of the largest value, the first of equals. */
export function indexOfLargest(values: Numbers): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/**
 * The row that says how alike ours and the peer's are, beside 1, or beside how alike the peer's and `reference` are.
 * @throws LlavaError where they are less alike than `least`: then they do not compute the same
 */
export function agreementRow(parts: Omit<Row, 'ratio' | 'n'>, least: number): Row {
  const { name, ours, peerName, unit } = parts;
  if (ours >= least) return row({ ...parts, n: 1 });
  throw new LlavaError(`${name}: expected a ${unit} of at least ${least} with ${peerName}, got ${ours.toFixed(4)}`);
}
