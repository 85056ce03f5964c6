import type { EvalRow } from './question.ts';

/** Answers counted. */
export interface Score {
  readonly correct: number;
  readonly total: number;
}

/** Scores of a test. */
export interface EvalReport {
  /** By kind, in order of first appearance. */
  readonly perKind: Readonly<Record<string, Score>>;
  readonly overall: Score;
}

/** Counts rows. */
export class Tally {
  readonly #perKind = new Map<string, Score>();

  add({ kind, correct }: Pick<EvalRow, 'kind' | 'correct'>): void {
    this.#perKind.set(kind, count(this.#perKind.get(kind) ?? NONE, correct ? 1 : 0, 1));
  }

  report(): EvalReport {
    const scores = [...this.#perKind.values()];
    const overall = scores.reduce((sum, { correct, total }) => count(sum, correct, total), NONE);
    return { perKind: Object.fromEntries(this.#perKind), overall };
  }
}

const NONE: Score = { correct: 0, total: 0 };

const count = (score: Score, correct: number, total: number): Score => ({
  correct: score.correct + correct,
  total: score.total + total,
});

/** `99.1 %`; `–` of nothing. */
export function formatShare({ correct, total }: Score): string {
  return total === 0 ? '–' : `${((100 * correct) / total).toFixed(1)} %`;
}

/** The report as lines of equal columns: kind, correct / total, share. */
export function formatReport({ perKind, overall }: EvalReport): string {
  const rows = [...Object.entries(perKind), ['overall', overall] as const].map(([kind, score]) => [
    kind,
    `${score.correct} / ${score.total}`,
    formatShare(score),
  ]);
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]!.length)));
  const line = ([kind, counts, share]: string[]) =>
    `${kind!.padEnd(widths[0]!)}  ${counts!.padStart(widths[1]!)}  ${share!.padStart(widths[2]!)}`;
  return rows.map(line).join('\n');
}
