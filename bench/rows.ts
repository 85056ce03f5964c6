/** @file What a benchmark reports: ours beside a peer's, both timed in turn in one session. */

import { median } from '../src/engine/index.ts';

/** One comparison. `ratio` is above 1 where ours is better. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  readonly ratio: number;
  readonly unit: Unit;
  /** Counted runs of each. */
  readonly n: number;
}

/** What is compared, and whether less of it is better. */
const LESS_IS_BETTER = {
  ms: true,
  MB: true,
  'GB/s': false,
  'tokens/run': false,
  /** Similarity of two vectors: 1 where they are the same. */
  cosine: false,
  correlation: false,
} as const;

export type Unit = keyof typeof LESS_IS_BETTER;

/** The row with its ratio. */
export function row(parts: Omit<Row, 'ratio'>): Row {
  const { ours, peer, unit } = parts;
  return { ...parts, ratio: LESS_IS_BETTER[unit] ? peer / ours : ours / peer };
}

/** Does a thing once; returns the milliseconds that count. */
export type Run = () => Promise<number>;

/**
 * Runs all in turn, in the order given, `n` times, after one run of each that does not count unless they are warm.
 * @returns the median of each, in that order
 */
export async function alternate(runs: readonly Run[], n: number, warmsUp = true): Promise<number[]> {
  const times = runs.map((): number[] => []);
  for (let round = warmsUp ? 0 : 1; round <= n; round++) {
    for (const [i, run] of runs.entries()) {
      const ms = await run();
      if (round > 0) times[i]!.push(ms);
      progress(`${round === 0 ? 'warm-up' : `run ${round} of ${n}`}, ${i + 1} of ${runs.length}: ${ms.toFixed(1)} ms`);
    }
  }
  return times.map(median);
}

/** Two ways to do one thing. */
export interface Contest {
  readonly name: string;
  readonly peerName: string;
  readonly ours: Run;
  readonly peer: Run;
}

/** Runs both in turn; the row holds the medians. */
export async function race({ name, peerName, ours, peer }: Contest, n: number): Promise<Row> {
  progress(`${name}, against ${peerName}`);
  const [mine, theirs] = (await alternate([ours, peer], n)) as [number, number];
  return row({ name, ours: mine, peer: theirs, peerName, unit: 'ms', n });
}

/** Tells whoever waits how far it is. */
export function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** A table for people. */
export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map(({ name, ours, peer, peerName, ratio, unit }) => [
    name,
    formatValue(ours, unit),
    `${peerName} ${formatValue(peer, unit)}`,
    `${ratio.toFixed(2)}×`,
  ]);
  const widths = [0, 1, 2, 3].map(column => Math.max(...cells.map(line => line[column]!.length)));
  return cells.map(line => line.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')).join('\n');
}

function formatValue(value: number, unit: Unit): string {
  const digits = unit === 'cosine' || unit === 'correlation' ? 5 : unit === 'tokens/run' ? 2 : 1;
  return `${value.toFixed(digits)} ${unit}`;
}
