/**
 * @file Reads fields of parsed JSON of unknown shape; every mismatch is a {@link LlavaError} naming the file and field.
 */

import { LlavaError } from '../../core/index.ts';

/** A JSON object and the name it goes by in messages, as `tokenizer.json: model`. */
export class JsonFields {
  readonly where: string;
  readonly #object: Readonly<Record<string, unknown>>;

  constructor(where: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(where, 'an object', value);
    this.where = where;
    this.#object = value as Record<string, unknown>;
  }

  /** True when the field is there and not null. */
  has(key: string): boolean {
    return this.raw(key) !== undefined && this.raw(key) !== null;
  }

  raw(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  keys(): string[] {
    return Object.keys(this.#object);
  }

  string(key: string, fallback?: string): string {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== 'string') throw mismatch(`${this.where}.${key}`, 'a string', value);
    return value;
  }

  optionalString(key: string): string | undefined {
    return this.has(key) ? this.string(key) : undefined;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== 'boolean') throw mismatch(`${this.where}.${key}`, 'true or false', value);
    return value;
  }

  /** A whole number of `0 … 2^22`: ids, counts. */
  count(key: string): number {
    return asCount(`${this.where}.${key}`, this.raw(key));
  }

  list(key: string): readonly unknown[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) throw mismatch(`${this.where}.${key}`, 'a list', value);
    return Array.from(value); // holes, which no JSON has but an object may, as undefined
  }

  /** The objects of a list. */
  objects(key: string): JsonFields[] {
    return this.list(key).map((item, i) => new JsonFields(`${this.where}.${key}[${i}]`, item));
  }

  object(key: string): JsonFields {
    return new JsonFields(`${this.where}.${key}`, this.raw(key));
  }

  optionalObject(key: string): JsonFields | undefined {
    return this.has(key) ? this.object(key) : undefined;
  }
}

/** The entry of `table` that the field `type` names. `kind` is what the table holds, for the message. */
export function byType<T>(fields: JsonFields, kind: string, table: Readonly<Record<string, T>>): T {
  const type = fields.string('type');
  if (Object.hasOwn(table, type)) return table[type]!;
  throw new LlavaError(
    `${fields.where}: expected a ${kind} of ${Object.keys(table).join(', ')}, got ${JSON.stringify(type).slice(0, 60)}`,
  );
}

/** Checks that a value is a whole number of `0 … 2^22`. */
export function asCount(where: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1 << 22) return value;
  throw mismatch(where, 'a whole number from 0 to 4194304', value);
}

function mismatch(where: string, expected: string, value: unknown): LlavaError {
  return new LlavaError(`${where}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 60) ?? 'nothing'}`);
}
