/** @file Typed reading of a decoded JSON object, with errors that name the file, the key, what was expected and found. */

import { LlavaError } from '../core/index.ts';

/** A decoded JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads the fields of one JSON object and remembers which were read. `null` counts as missing. */
export class Fields {
  readonly #json: JsonObject;
  /** Names the object in errors. */
  readonly where: string;
  readonly #read = new Set<string>();

  constructor(json: unknown, where: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new LlavaError(`${where}: expected an object, got ${describe(json)}`);
    }
    this.#json = json as JsonObject;
    this.where = where;
  }

  string(key: string, fallback?: string): string {
    return this.#get(key, 'a string', (value): value is string => typeof value === 'string', fallback);
  }

  boolean(key: string, fallback: boolean): boolean {
    return this.#get(key, 'true or false', (value): value is boolean => typeof value === 'boolean', fallback);
  }

  number(key: string, fallback?: number): number {
    return this.#get(key, 'a number', (value): value is number => Number.isFinite(value), fallback);
  }

  integer(key: string, fallback?: number): number {
    return this.#get(key, 'an integer', (value): value is number => Number.isInteger(value), fallback);
  }

  /** An integer from 1 to 2^31 − 1, so that sizes computed from it stay exact. */
  positive(key: string, fallback?: number): number {
    const fits = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) > 0 && Number(value) < 2 ** 31;
    return this.#get(key, 'a positive integer', fits, fallback);
  }

  /** A {@link positive} integer, or undefined where the file says null; `missing` where it says nothing. */
  positiveOrNull(key: string, missing: number | undefined): number | undefined {
    this.#read.add(key);
    const stated = this.#json[key];
    return stated === null || (stated ?? missing) === undefined ? undefined : this.positive(key, missing);
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback?: T): T {
    const known = (value: unknown): value is T => choices.includes(value as T);
    return this.#get(key, `one of ${choices.join(', ')}`, known, fallback);
  }

  /** Any value; undefined where it is missing. */
  value(key: string): unknown {
    this.#read.add(key);
    return this.#json[key] ?? undefined;
  }

  object(key: string): JsonObject {
    const value = this.optionalObject(key);
    if (value) return value;
    throw new LlavaError(`${this.where}: expected an object ${key}, got ${describe(this.#json[key])}`);
  }

  optionalObject(key: string): JsonObject | undefined {
    this.#read.add(key);
    const value = this.#json[key];
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as JsonObject) : undefined;
  }

  /** A list, undefined where there is none. */
  list(key: string): readonly unknown[] | undefined {
    this.#read.add(key);
    const value = this.#json[key] ?? undefined;
    if (value === undefined || Array.isArray(value)) return value;
    throw new LlavaError(`${this.where}: expected a list for ${key}, got ${describe(value)}`);
  }

  /** A list of integers; a lone integer counts as a list of one. */
  integers(key: string, fallback: readonly number[]): readonly number[] {
    const value = this.#json[key];
    if (!Array.isArray(value)) return value === undefined ? fallback : [this.integer(key)];
    this.#read.add(key);
    if (value.every(Number.isInteger)) return value;
    throw new LlavaError(`${this.where}: expected integers for ${key}, got ${describe(value)}`);
  }

  /** The fields that were not read. */
  rest(): JsonObject {
    return Object.fromEntries(Object.entries(this.#json).filter(([key]) => !this.#read.has(key)));
  }

  #get<T>(key: string, expected: string, fits: (value: unknown) => value is T, fallback: T | undefined): T {
    this.#read.add(key);
    const value = this.#json[key] ?? fallback;
    if (fits(value)) return value;
    throw new LlavaError(`${this.where}: expected ${expected} for ${key}, got ${describe(value)}`);
  }
}

function describe(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value)?.slice(0, 80) ?? typeof value);
}
