/** @file Tensors that both sides of a comparison read, and what they write for comparing: files of f32. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '../src/core/index.ts';

/** A temporary folder for such files. */
export class NumberFiles implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'llava-bench-'));

  path(name: string): string {
    return join(this.#folder, `${name}.f32`);
  }

  /** Numbers from −1 to 1, as pixels are after normalisation; returns the file. */
  randomPixels(shape: readonly number[]): string {
    const rng = new Rng(1);
    const count = shape.reduce((product, size) => product * size, 1);
    const file = this.path('pixels');
    writeFileSync(
      file,
      Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1),
    );
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

export function readNumbers(file: string): Float32Array {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
