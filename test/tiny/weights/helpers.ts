import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';

export const GOLDEN = join(import.meta.dirname, '../../golden/weights');

/** A folder that lasts as long as the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'llava-weights-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file with these bytes in a folder of its own. */
export function temporaryFile(name: string, bytes: Uint8Array | string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(join(GOLDEN, name), 'utf8')) as T;
}

/** All files under a folder as `path=content`, sorted. */
export function listTree(folder: string, prefix = ''): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap(name => {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) return listTree(path, `${prefix}${name}/`);
      return [`${prefix}${name}=${readFileSync(path, 'utf8')}`];
    });
}

/** The message of the LlavaError that `run` throws; undefined when it returns. Any other error passes. */
export function refusal(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof LlavaError) return error.message;
    throw error;
  }
}

/** {@link refusal} of a promise. */
export async function rejection(promise: Promise<unknown>): Promise<string | undefined> {
  const result = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return refusal(() => {
    if (result !== undefined) throw result;
  });
}

/** Length and JSON of a safetensors header, and the data. */
export function container(json: string, data = new Uint8Array(0)): Uint8Array {
  const text = Buffer.from(json);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}
