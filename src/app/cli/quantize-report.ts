/** @file What a quantised copy has lost, as lines for the terminal. */

import type { Comparison } from '../../eval/index.ts';
import type { WeightFormat } from '../../models/index.ts';

/** A linear layer of the copy. */
export interface LayerReport {
  readonly path: string;
  readonly format: WeightFormat;
  /** Relative error of its outputs; undefined where it was not measured. */
  readonly error: number | undefined;
}

/** Layers that are listed one by one: those with the largest errors. */
const LISTED = 8;

/** The worst layers, then perplexity, divergence, guesses and answers. */
export function formatQuantizeReport(layers: readonly LayerReport[], comparison: Comparison): string {
  const { tokens, perplexity, divergence, sameGuess, asked, changed } = comparison;
  const { original, other } = perplexity;
  const change = 100 * (other / original - 1);
  const rows = [
    ['perplexity', `${original.toFixed(3)} → ${other.toFixed(3)} (${signed(change)} %)`, `${tokens} tokens`],
    ['divergence', divergence.toExponential(2), 'nats a token'],
    ['same likeliest token', `${(100 * sameGuess).toFixed(1)} %`, ''],
    ['answers changed', `${changed.length} of ${asked}`, ''],
  ];
  return [...layerLines(layers), ...table(rows)].join('\n');
}

const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;

function layerLines(layers: readonly LayerReport[]): string[] {
  const measured = layers.filter(({ error }) => error !== undefined).sort((a, b) => b.error! - a.error!);
  if (measured.length === 0) return [];
  const rows = measured.slice(0, LISTED).map(({ path, format, error }) => [path, format, error!.toExponential(2)]);
  const middle = measured[measured.length >> 1]!;
  return [
    `relative errors of ${measured.length} layers, the largest first (median ${middle.error!.toExponential(2)}):`,
    ...table(rows).map(line => `  ${line}`),
  ];
}

/** Rows as lines of equal columns. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
