/** @file What a benchmark reports: ours beside a peer's, both timed in turn in one process or one session. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { median } from '../src/engine/index.ts';

/** One comparison. `ratio` is above 1 where ours is better. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  readonly ratio: number;
  readonly unit: string;
  /** Counted runs of each. */
  readonly n: number;
}

/** Two ways to do one thing; each call does it once and returns the milliseconds that count. */
export interface Contest {
  readonly name: string;
  readonly peerName: string;
  readonly ours: () => Promise<number>;
  readonly peer: () => Promise<number>;
}

/** Runs both in turn, ours first, after one run of each that does not count; the row holds the medians. */
export async function race({ name, peerName, ours, peer }: Contest, n: number): Promise<Row> {
  const times: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  for (let i = 0; i <= n; i++) {
    const [mine, theirs] = [await ours(), await peer()];
    if (i === 0) continue;
    times.ours.push(mine);
    times.peer.push(theirs);
  }
  const [a, b] = [median(times.ours), median(times.peer)];
  return { name, ours: a, peer: b, peerName, ratio: b / a, unit: 'ms', n };
}

/** A table for people. */
export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map(({ name, ours, peer, peerName, ratio, unit }) => [
    name,
    `${ours.toFixed(1)} ${unit}`,
    `${peerName} ${peer.toFixed(1)} ${unit}`,
    `${ratio.toFixed(2)}×`,
  ]);
  const widths = [0, 1, 2, 3].map(column => Math.max(...cells.map(row => row[column]!.length)));
  return cells.map(row => row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')).join('\n');
}

/** Writes rows with the machine and the day to bench/results/NAME.json. */
export function saveRows(name: string, rows: readonly Row[]): void {
  const folder = join(import.meta.dirname, '../../bench/results');
  mkdirSync(folder, { recursive: true });
  const [{ model = 'unknown' } = {}] = cpus();
  const machine = { processor: model.trim(), cores: cpus().length, memoryBytes: totalmem(), node: process.version };
  const result = { date: new Date().toISOString().slice(0, 10), machine, rows };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}
