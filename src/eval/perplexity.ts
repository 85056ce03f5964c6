/** @file How well a model foretells a text, and how far two models' predictions are from each other. */

/** log Σ exp. */
export function logSumExp(logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > largest) largest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Σ p·(log p − log q) of the distributions that two rows of logits stand for, in nats. */
export function divergence(reference: Float32Array, logits: Float32Array): number {
  const [normP, normQ] = [logSumExp(reference), logSumExp(logits)];
  let sum = 0;
  for (let i = 0; i < reference.length; i++) {
    const p = reference[i]! - normP;
    sum += Math.exp(p) * (p - logits[i]! + normQ);
  }
  return sum;
}

/** −log p of token `id`, nats. */
export function surprise(logits: Float32Array, id: number): number {
  return logSumExp(logits) - logits[id]!;
}

/** Index of the largest of the values, the first where there are several. */
export function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
