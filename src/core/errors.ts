/**
 * @file Two kinds of failure. A {@link LlavaError} is the user's to mend (bad input, missing file, wrong option): the
 * command line prints its one line and exits with code 2. `internal:` errors are bugs of this library.
 */

/** Bad input. The message reads `where: expected X, got Y` and names the file, option or tensor. */
export class LlavaError extends Error {
  override readonly name = 'LlavaError';
}

/** The request was cancelled through its `AbortSignal`. */
export class AbortedError extends LlavaError {}

/** Throws an `internal:` error unless `condition` holds. For our own invariants, never for user input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}

/** Throws {@link AbortedError} when `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, where: string): void {
  if (signal?.aborted) throw new AbortedError(`${where}: aborted`);
}

/** The known name closest to `name` by edit distance, for "did you mean" messages; undefined when `known` is empty. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Throws naming each key of `object` that is not in `known`, with the nearest known one. */
export function rejectUnknownKeys(where: string, object: object, known: readonly string[]): void {
  const unknown = Object.keys(object).filter(key => !known.includes(key));
  if (unknown.length === 0) return;
  const hints = unknown.map(key => `${key} (did you mean ${nearestName(key, known)}?)`);
  throw new LlavaError(`${where}: expected known options, got ${hints.join(', ')}`);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
