/** @file JSON files, with errors that name the file, the line and the column. */

import { LlavaError } from '../core/index.ts';
import { decodeUtf8, readFileBytes } from './files.ts';
import { JsonCursor } from './json-cursor.ts';

const MAX_JSON_BYTES = 2 ** 28;

/**
 * The value held by a JSON file of at most 256 MiB.
 * @param expected what the file should be, for the error of a missing one
 * @throws LlavaError `FILE:LINE:COLUMN: expected X, got Y`
 */
export function readJson(path: string, expected = 'a JSON file'): unknown {
  return parseJson(decodeUtf8(readFileBytes(path, expected, MAX_JSON_BYTES), path), path);
}

/** The value that `text` stands for; `where` names the text in errors. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw locateError(text, where, error as Error);
  }
}

/** Reads the text again with a parser that knows where it is: the messages of `JSON.parse` often lack the position. */
function locateError(text: string, where: string, cause: Error): LlavaError {
  const cursor = new JsonCursor(text, offset => `${where}:${lineAndColumn(text, offset)}`);
  try {
    cursor.skipValue();
    cursor.end();
  } catch (error) {
    if (error instanceof LlavaError) return error;
  }
  return new LlavaError(`${where}: expected JSON, got ${cause.message}`);
}

/** `line:column` of an offset, both from 1. */
function lineAndColumn(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return `${line}:${offset - before.lastIndexOf('\n')}`;
}
