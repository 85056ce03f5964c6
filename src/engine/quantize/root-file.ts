/** @file The triangles of all layers' inputs while a model is rounded: of a 7B 1.6 GB, which wait in a file. */

import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RootSpan } from './input-root.ts';

/** Where a span's triangle lies. */
interface Place {
  readonly start: number;
  readonly size: number;
  readonly at: number;
  readonly length: number;
}

/** Triangles by path of a layer. Dispose it when done: the file is removed. */
export class RootFile implements AsyncDisposable {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #places = new Map<string, readonly Place[]>();
  #end = 0;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /** A new file in a folder. */
  static async create(folder: string): Promise<RootFile> {
    const file = join(folder, 'input-roots.tmp');
    return new RootFile(file, await open(file, 'wx+'));
  }

  /** Keeps the triangles of the inputs that these layers read. */
  async add(paths: readonly string[], spans: readonly RootSpan[]): Promise<void> {
    const places: Place[] = [];
    for (const { start, size, columns } of spans) {
      places.push({ start, size, at: this.#end, length: columns.length });
      const bytes = new Uint8Array(columns.buffer, columns.byteOffset, columns.byteLength);
      await this.#handle.write(bytes, 0, bytes.length, this.#end);
      this.#end += columns.byteLength;
    }
    for (const path of paths) this.#places.set(path, places);
  }

  /** The triangles of a layer's inputs; undefined where none were kept. */
  async of(path: string): Promise<RootSpan[] | undefined> {
    const places = this.#places.get(path);
    return places && (await Promise.all(places.map(place => this.#read(place))));
  }

  async #read({ start, size, at, length }: Place): Promise<RootSpan> {
    const columns = new Float32Array(length);
    await this.#handle.read(new Uint8Array(columns.buffer), 0, columns.byteLength, at);
    return { start, size, columns };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    await rm(this.#file);
  }
}
