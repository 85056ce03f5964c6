/** @file Reads the small files of a model folder; every error names the file. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { JsonFields } from './json-fields.ts';

/** The fields of a JSON file that a folder may have. */
export function optionalFields(folder: string, name: string): JsonFields | undefined {
  const path = join(folder, name);
  return existsSync(path) ? new JsonFields(path, parseJson(path)) : undefined;
}

/** The value of a JSON file. Throws {@link LlavaError} that names it. */
export function parseJson(path: string): unknown {
  const text = Buffer.from(readBytes(path)).toString();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LlavaError(`${path}: expected JSON, got ${(error as Error).message}`);
  }
}

/** A file's bytes. Throws {@link LlavaError} that names it. */
export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new LlavaError(`${path}: expected a readable file, got ${(error as Error).message}`);
  }
}
