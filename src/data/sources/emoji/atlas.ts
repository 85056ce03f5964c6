/**
 * @file All drawings of the training set, rendered once and kept in one file of the cache: rendering takes half a minute,
 * reading it back a tenth of a second. Layout: `u32 n`, n bytes of JSON, then side × side × 4 bytes for each drawing.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError, throwIfAborted } from '../../../core/index.ts';
import { type Colour, mainColour } from './colour.ts';
import type { Concept } from './concepts.ts';
import type { IconSet } from './icons.ts';
import type { Style } from './packages.ts';
import { premultiply, renderTrimmed } from './raster.ts';

/** One drawing of a concept, trimmed, filling a square of `side` pixels. */
export interface Drawing {
  readonly concept: Concept;
  readonly style: Style;
  /** Which of the concept's emoji. */
  readonly code: string;
  /** Main colour, where one is clear; never for `ink` styles. */
  readonly colour: Colour | undefined;
  /** RGBA with colours multiplied by alpha, side × side × 4 bytes. */
  readonly pixels: Uint8Array;
}

/** A drawing to be rendered. */
export interface DrawingSource {
  readonly concept: Concept;
  readonly style: Style;
  readonly code: string;
  readonly svg: string;
}

/** Options of {@link loadAtlas}. */
export interface AtlasOptions {
  /** Folder of the cached file. */
  readonly folder: string;
  /** Side of a drawing, pixels. */
  readonly side: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * What the styles have for the concepts, in the order concept, emoji, style. Held-out concepts are left out, and black
 * drawings of concepts that only colour tells apart.
 */
export function listDrawings(concepts: readonly Concept[], styles: ReadonlyMap<Style, IconSet>): DrawingSource[] {
  const drawingsOf = (concept: Concept, code: string) =>
    [...styles].flatMap(([style, icons]) =>
      concept.colourBound && style.kind === 'ink'
        ? []
        : (icons.get(code) ?? []).map(svg => ({ concept, style, code, svg })),
    );
  const known = concepts.filter(concept => !concept.heldOut);
  return known.flatMap(concept => concept.codes.flatMap(code => drawingsOf(concept, code)));
}

/** Changes when the same drawings would be stored otherwise. */
const FORMAT = 1;

/** Reads the drawings from the cache, or renders and caches them. */
export async function loadAtlas(sources: readonly DrawingSource[], options: AtlasOptions): Promise<Drawing[]> {
  const hash = createHash('sha256').update(`${FORMAT} ${options.side}`);
  for (const { svg } of sources) hash.update(svg);
  const path = join(options.folder, `emoji-${options.side}-${hash.digest('hex').slice(0, 12)}.bin`);
  const cached = await readAtlas(path, sources, options.side);
  if (cached) return cached;
  const drawings = await renderAll(sources, options);
  await writeAtlas(path, options.folder, drawings);
  return drawings;
}

const CONCURRENT = 4;

async function renderAll(sources: readonly DrawingSource[], options: AtlasOptions): Promise<Drawing[]> {
  const drawings: Drawing[] = new Array(sources.length);
  let next = 0;
  const work = async () => {
    while (next < sources.length) {
      const index = next++;
      throwIfAborted(options.signal, 'emoji drawings');
      const { svg, ...source } = sources[index]!;
      const { data } = await renderTrimmed(svg, options.side);
      const colour = source.style.kind === 'ink' ? undefined : mainColour(data);
      drawings[index] = { ...source, colour, pixels: premultiply(data) };
      if (next % 100 === 0) options.onProgress?.(next, sources.length);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, work));
  return drawings;
}

async function writeAtlas(path: string, folder: string, drawings: readonly Drawing[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const header = Buffer.from(JSON.stringify(drawings.map(drawing => drawing.colour ?? null)));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const partial = `${path}.${process.pid}.part`;
  const file = await open(partial, 'w');
  try {
    await file.writev([length, header]);
    for (const { pixels } of drawings) await file.write(pixels);
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close();
    await rm(partial, { force: true });
    throw new LlavaError(`${path}: expected to write the rendered drawings, got ${(error as Error).message}`);
  }
}

async function readAtlas(
  path: string,
  sources: readonly DrawingSource[],
  side: number,
): Promise<Drawing[] | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes) return undefined;
  const start = 4 + bytes.readUInt32LE(0);
  const size = side * side * 4;
  if (bytes.length !== start + sources.length * size) return undefined;
  const colours = JSON.parse(bytes.toString('utf8', 4, start)) as (Colour | null)[];
  return sources.map(({ concept, style, code }, i) => {
    const pixels = new Uint8Array(bytes.buffer, bytes.byteOffset + start + i * size, size);
    return { concept, style, code, colour: colours[i] ?? undefined, pixels };
  });
}
