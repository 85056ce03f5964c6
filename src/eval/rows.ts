/**
 * @file Answers in a JSON Lines file, one row a question, written as they come, so that a test that was broken off goes on
 * where it stopped. Each row says which run it belongs to: rows of another model are never taken for this one's.
 */

import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { LlavaError } from '../core/index.ts';
import type { EvalQuestion, EvalRow } from './question.ts';

/** A row as it is stored. `run` names model, state of its files, and task. */
type StoredRow = EvalRow & { readonly run: string };

/** The file of a run, open for more rows. Dispose it when done. */
export class RowFile implements Disposable {
  /** Rows that an earlier run left, by id. */
  readonly known: ReadonlyMap<string, EvalRow>;
  readonly #run: string;
  readonly #descriptor: number;

  /**
   * @param run what the rows must belong to
   * @throws LlavaError when the file holds rows of another run or something else, or cannot be written
   */
  constructor(path: string, run: string) {
    this.#run = run;
    this.known = existsSync(path) ? readRows(path, run) : new Map();
    try {
      this.#descriptor = openSync(path, 'a');
    } catch (error) {
      throw new LlavaError(`${path}: expected a file that can be written, got ${(error as Error).message}`);
    }
  }

  add({ id, kind, question, expected, answer, correct }: EvalRow): void {
    if (this.known.has(id)) return;
    const stored: StoredRow = { id, kind, question, expected, answer, correct, run: this.#run };
    writeSync(this.#descriptor, `${JSON.stringify(stored)}\n`);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

/** The rows of a file. What follows the last line end was cut short by a kill, and is taken off the file. */
function readRows(path: string, run: string): Map<string, EvalRow> {
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
  const rows = lines.map((line, i) => parseRow(line, `${path}:${i + 1}`));
  const stranger = rows.find(row => row.run !== run);
  if (stranger) {
    throw new LlavaError(
      `${path}: expected rows of ${run}, got rows of ${stranger.run}; remove it or choose another file`,
    );
  }
  if (end < bytes.length) truncateSync(path, end);
  return new Map(rows.map(({ run: _, ...row }) => [row.id, row]));
}

function parseRow(line: string, where: string): StoredRow {
  try {
    const row = JSON.parse(line) as StoredRow;
    const isRow = [row.id, row.kind, row.answer, row.run].every(text => typeof text === 'string');
    if (isRow && typeof row.correct === 'boolean') return row;
  } catch {
    // told below
  }
  throw new LlavaError(`${where}: expected a row of an evaluation, got ${JSON.stringify(line.slice(0, 60))}`);
}

/** `count` of the questions, spread evenly over the test; all when there are no more. */
export function spread(questions: readonly EvalQuestion[], count: number): readonly EvalQuestion[] {
  if (count >= questions.length) return questions;
  return Array.from({ length: count }, (_, i) => questions[Math.floor((i * questions.length) / count)]!);
}
