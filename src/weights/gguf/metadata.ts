/** @file Typed reading of GGUF metadata, with errors that name the file, the key, what was expected and found. */

import { LlavaError } from '../../core/index.ts';
import type { GgufMetadata, GgufValue } from './types.ts';

/** Metadata of one file. A key may be missing where a fallback is given. */
export class MetadataFields {
  readonly #metadata: GgufMetadata;
  /** Names the file in errors. */
  readonly where: string;

  constructor(metadata: GgufMetadata, where: string) {
    this.#metadata = metadata;
    this.where = where;
  }

  has(key: string): boolean {
    return this.#metadata.has(key);
  }

  string(key: string): string {
    return this.optionalString(key) ?? this.#fail(key, 'a string');
  }

  optionalString(key: string): string | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    return entry.type === 'string' ? (entry.value as string) : this.#fail(key, 'a string');
  }

  boolean(key: string, fallback: boolean): boolean {
    return this.optionalBoolean(key) ?? fallback;
  }

  optionalBoolean(key: string): boolean | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    return entry.type === 'bool' ? (entry.value as boolean) : this.#fail(key, 'true or false');
  }

  /** A finite number; an f32 comes as the shortest decimal that it stands for, so that 1e-5 is 1e-5. */
  number(key: string, fallback?: number): number {
    const value = this.optionalNumber(key) ?? fallback;
    return value ?? this.#fail(key, 'a number');
  }

  optionalNumber(key: string): number | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    const value = entry.type === 'array' ? undefined : entry.value;
    if (typeof value !== 'number' || !Number.isFinite(value)) return this.#fail(key, 'a number');
    return entry.type === 'f32' ? shortestDecimal(value) : value;
  }

  /** An integer from 0 to 2^31 − 1. */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    return Number.isInteger(value) && value >= 0 && value < 2 ** 31 ? value : this.#fail(key, 'a count');
  }

  strings(key: string): readonly string[] {
    const entry = this.#metadata.get(key);
    return entry?.type === 'array' && entry.items === 'string' ? entry.values : this.#fail(key, 'an array of strings');
  }

  /** Numbers of an array, f32 as the shortest decimals; undefined when the key is missing. */
  numbers(key: string): readonly number[] | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== 'array' || entry.items === 'string') return this.#fail(key, 'an array of numbers');
    const values = Array.from(entry.values, Number);
    return entry.items === 'f32' ? values.map(shortestDecimal) : values;
  }

  #fail(key: string, expected: string): never {
    throw new LlavaError(`${this.where}: expected ${expected} for ${key}, got ${describe(this.#metadata.get(key))}`);
  }
}

function describe(entry: GgufValue | undefined): string {
  if (entry === undefined) return 'nothing';
  if (entry.type === 'array') return `an array of ${entry.values.length} ${entry.items}`;
  const text = typeof entry.value === 'string' ? JSON.stringify(entry.value) : String(entry.value);
  return `${text.slice(0, 80)} (${entry.type})`;
}

/** The decimal of fewest digits that rounds to this f32. */
export function shortestDecimal(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}
