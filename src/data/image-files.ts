/** @file The image files that a dataset names. All are looked for before training begins, not when their turn comes. */

import { statSync } from 'node:fs';
import { extname, join, posix, win32 } from 'node:path';
import { LlavaError } from '../core/index.ts';

/** Endings tried, in this order, where the file is not there under its own: downloads come in another format at times. */
const EXTENSIONS = ['.jpg', '.png', '.jpeg', '.webp', '.gif'];

const NAMED = 20;

/** Image files are missing. The message names the first {@link NAMED}. */
export class MissingImagesError extends LlavaError {
  /** All of them, as the dataset names them. */
  readonly images: readonly string[];

  constructor(where: string, folder: string, images: readonly string[]) {
    const more = images.length > NAMED ? ` and ${images.length - NAMED} more` : '';
    const names = images.slice(0, NAMED).join(', ') + more;
    super(`${where}: expected image files in ${folder}, got ${images.length} missing: ${names}`);
    this.images = images;
  }
}

/** Images of a dataset, by the names it gives them. */
export class ImageFolder {
  readonly #folder: string;
  readonly #known = new Set<string>();
  /** Images that are there under another ending. */
  readonly #renamed = new Map<string, string>();
  readonly #missing: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Looks for an image's file and remembers where it is.
   * @throws LlavaError when the name leads out of the folder; `where` says whose name it is
   */
  look(image: string, where: string): void {
    if (this.#known.has(image)) return;
    this.#known.add(image);
    if (!isInside(image)) throw new LlavaError(`${where}: expected a path inside the image folder, got ${image}`);
    if (isFile(join(this.#folder, image))) return;
    const stem = image.slice(0, image.length - extname(image).length);
    const found = EXTENSIONS.map(extension => stem + extension).find(name => isFile(join(this.#folder, name)));
    if (found === undefined) this.#missing.push(image);
    else this.#renamed.set(image, found);
  }

  /** @throws MissingImagesError when files of images looked for are not there */
  check(where: string): void {
    if (this.#missing.length > 0) throw new MissingImagesError(where, this.#folder, this.#missing);
  }

  /** Path of an image that was found. */
  path(image: string): string {
    return join(this.#folder, this.#renamed.get(image) ?? image);
  }
}

/** Links inside the folder may lead out of it: datasets are put together so. Names may not. */
function isInside(image: string): boolean {
  if (image === '' || image.includes('\0') || posix.isAbsolute(image) || win32.isAbsolute(image)) return false;
  return !/^[a-z]:/i.test(image) && !image.split(/[\\/]/).includes('..');
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
