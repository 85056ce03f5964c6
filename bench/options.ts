/** @file The command line of `npm run bench`. */

import { parseArgs } from 'node:util';
import { LlavaError, nearestName } from '../src/core/index.ts';
import type { Row } from './rows.ts';

/** How a benchmark is run. */
export interface BenchOptions {
  /** Counted runs of each side. */
  readonly n: number;
  /** Layers of the models. Default: the benchmark's own. */
  readonly layers: number | undefined;
  /** Lengths of the prompts, in tokens. Default: the benchmark's own. */
  readonly prompts: readonly number[] | undefined;
  /** Models of a sixteenth of the width and short prompts: shows that all works, says nothing of speed. */
  readonly isSmoke: boolean;
}

/** One comparison. */
export interface Bench {
  /** What `--only` picks from. */
  readonly parts: readonly string[];
  /** The peer's name and version. Throws {@link LlavaError} that says how to install it. */
  peer(): Promise<string>;
  rows(part: string, options: BenchOptions): AsyncGenerator<Row>;
}

/** What was asked for. */
export interface BenchCommand {
  readonly name: string;
  readonly json: boolean;
  /** Parts by name, in the order given. Default: all. */
  readonly only: readonly string[] | undefined;
  readonly options: BenchOptions;
  /** Only figures of the standard sizes are kept. */
  readonly isStandard: boolean;
}

/** Throws {@link LlavaError} on anything that is not understood. `names` are those of the benchmarks. */
export function parseCommand(args: readonly string[], names: readonly string[]): BenchCommand {
  const { positionals, values } = parse(args);
  const [name = '', ...rest] = positionals;
  if (!names.includes(name) || rest.length > 0) {
    throw new LlavaError(`bench: expected one of ${names.join(', ')}, got ${JSON.stringify(positionals.join(' '))}`);
  }
  const { n = '3', only, layers, prompts, smoke = false } = values;
  return {
    name,
    json: values.json ?? false,
    only: only?.split(','),
    options: {
      n: count('--n', n),
      layers: layers === undefined ? undefined : count('--layers', layers),
      prompts: prompts?.split(',').map(length => count('--prompts', length)),
      isSmoke: smoke,
    },
    isStandard: layers === undefined && prompts === undefined && !smoke,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        n: { type: 'string' },
        only: { type: 'string' },
        layers: { type: 'string' },
        prompts: { type: 'string' },
        smoke: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new LlavaError(`bench: ${(error as Error).message}`);
  }
}

function count(option: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new LlavaError(`bench: option ${option}: expected a whole number of at least 1, got ${JSON.stringify(text)}`);
}

/** The parts to run. Throws {@link LlavaError} on one that is not there. */
export function chosenParts({ parts }: Pick<Bench, 'parts'>, only: readonly string[] | undefined): readonly string[] {
  const strange = only?.find(part => !parts.includes(part));
  if (strange === undefined) return only ?? parts;
  const nearest = nearestName(strange, parts);
  throw new LlavaError(
    `bench: option --only: expected some of ${parts.join(', ')}, got ${strange}${nearest ? ` (nearest: ${nearest})` : ''}`,
  );
}
