/** @file What is kept of a benchmark: bench/results/NAME.json, rows with the machine they were taken on. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Row } from './rows.ts';

/** Where rows were taken. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
}

/** A row and the day that it was taken on. */
export type DatedRow = Row & { readonly date: string };

/** A file of results. */
export interface Results {
  readonly machine: Machine;
  /** The peer's name and version. */
  readonly peer: string;
  readonly rows: readonly DatedRow[];
}

/** `results` with `rows` put in the places of those of the same name and peer, new ones at the end. */
export function mergeRows(results: readonly DatedRow[], rows: readonly DatedRow[]): DatedRow[] {
  const byKey = new Map(results.map(old => [keyOf(old), old]));
  for (const fresh of rows) byKey.set(keyOf(fresh), fresh);
  return [...byKey.values()];
}

const keyOf = ({ name, peerName, unit }: Row): string => JSON.stringify([name, peerName, unit]);

/** Results with new rows. What was taken on another machine, or with another version of the peer, is dropped. */
export function mergeResults(old: Results | undefined, { machine, peer, rows }: Results): Results {
  const same = old && JSON.stringify([old.machine, old.peer]) === JSON.stringify([machine, peer]);
  return { machine, peer, rows: mergeRows(same ? old.rows : [], rows) };
}

/** Puts rows of today into `folder`/NAME.json. */
export function saveRows(folder: string, name: string, peer: string, rows: readonly Row[]): void {
  const file = join(folder, `${name}.json`);
  const date = new Date().toISOString().slice(0, 10);
  const fresh = { machine: machine(), peer, rows: rows.map(row => ({ ...row, date })) };
  const old = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : undefined;
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, formatResults(mergeResults(old, fresh)));
}

/** One line a row, so that a change of results is read easily. */
function formatResults({ rows, ...head }: Results): string {
  const lines = rows.map(row => `    ${JSON.stringify(rounded(row))}`).join(',\n');
  return `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [\n${lines}\n  ]\n}\n`;
}

/** Numbers with five digits. */
function rounded(row: DatedRow): DatedRow {
  const round = (value: number) => Number(value.toPrecision(5));
  return { ...row, ours: round(row.ours), peer: round(row.peer), ratio: round(row.ratio) };
}

/** Instructions that say how fast a processor multiplies small numbers. */
const FEATURES = ['avx2', 'avx_vnni', 'avx512_vnni', 'avx512_bf16', 'amx_int8', 'amx_bf16'];

function machine(): Machine {
  const [{ model = 'unknown' } = {}] = cpus();
  const info = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const features = FEATURES.filter(feature => new RegExp(`\\b${feature}\\b`).test(info));
  const processor = [model.trim(), ...(features.length > 0 ? [`(${features.join(' ')})`] : [])].join(' ');
  return { processor, cores: cpus().length, memoryBytes: totalmem(), node: process.version };
}
