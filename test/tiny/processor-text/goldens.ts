/** @file Reads the goldens of test/golden/processor-text, or of a folder outside the repository. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

export const FOLDER = fileURLToPath(new URL('../../golden/processor-text/', import.meta.url));

/** Encodings of every text, and texts of random ids. */
export interface TokenizerGolden {
  readonly ids: readonly (readonly number[])[];
  readonly decoded: readonly string[];
  readonly mixtures: readonly (readonly number[])[];
  readonly mixturesDecoded: readonly string[];
}

export interface JsonGolden extends TokenizerGolden {
  /** Without the frame; null where it makes no difference. */
  readonly bare: readonly (readonly number[] | null)[];
  /** Special tokens kept. */
  readonly decodedSpecial: readonly string[];
}

export interface LlamaGolden extends TokenizerGolden {
  readonly legacy: readonly (readonly number[])[];
  readonly modern: readonly (readonly number[])[];
  readonly prompts: readonly {
    readonly legacy: boolean;
    readonly template: string;
    readonly turns: readonly string[];
    readonly ids: readonly number[];
    readonly trained: readonly boolean[] | null;
  }[];
}

export function readGz(name: string, folder = FOLDER): Uint8Array {
  return gunzipSync(readFileSync(`${folder}/${name}`));
}

export function readJson<T>(name: string, folder = FOLDER): T {
  return JSON.parse(new TextDecoder().decode(readGz(name, folder)));
}

export function readTexts(folder = FOLDER): readonly string[] {
  return readJson<{ texts: string[] }>('texts.json.gz', folder).texts;
}

/** The inputs whose results differ, with both, for a message that shows them all. */
export function mismatches<T, R>(inputs: readonly T[], wanted: readonly R[], run: (input: T) => R): unknown[] {
  const rows = inputs.map((input, i) => ({ input, got: run(input), wanted: wanted[i] }));
  return rows.filter(row => JSON.stringify(row.got) !== JSON.stringify(row.wanted)).slice(0, 5);
}
