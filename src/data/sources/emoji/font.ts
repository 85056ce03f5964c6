/**
 * @file Reads the drawings of a font of emoji as packed by Fontsource: several WOFF files for each weight, each with some
 * of the characters. Only characters of one code point: combinations are rules of the font's own.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Font, Glyph } from 'opentype.js/dist/opentype.mjs';
import { LlavaError } from '../../../core/index.ts';
import type { IconSet } from './icons.ts';

/**
 * Drawings of the `wanted` code points (hex) in the files of one weight.
 * @throws LlavaError when the folder holds no such files, or one that is no font
 */
export async function readEmojiFont(folder: string, weight: number, wanted: ReadonlySet<string>): Promise<IconSet> {
  const files = await fontFiles(join(folder, 'files'), weight);
  const { parse } = await import('opentype.js/dist/opentype.mjs');
  const found = new Map<string, readonly string[]>();
  for (const path of files) {
    const font = await readFont(path, parse);
    for (const code of wanted) {
      if (code.includes('-') || found.has(code)) continue;
      const glyph = font.charToGlyph(String.fromCodePoint(Number.parseInt(code, 16)));
      if (glyph.index > 0) found.set(code, [glyphSvg(font, glyph)]);
    }
  }
  return found;
}

async function fontFiles(folder: string, weight: number): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const files = names.filter(name => name.endsWith(`-${weight}-normal.woff`)).sort();
  if (files.length > 0) return files.map(name => join(folder, name));
  throw new LlavaError(`${folder}: expected WOFF files of weight ${weight}, got none`);
}

async function readFont(path: string, parse: (buffer: ArrayBuffer) => Font): Promise<Font> {
  const bytes = await readFile(path);
  try {
    return parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);
  } catch (error) {
    throw new LlavaError(`${path}: expected a WOFF font, got ${(error as Error).message}`);
  }
}

function glyphSvg({ unitsPerEm, ascender, descender }: Font, glyph: Glyph): string {
  const [width, height] = [glyph.advanceWidth ?? unitsPerEm, ascender - descender];
  const path = glyph.getPath(0, ascender, unitsPerEm).toPathData(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><path d="${path}"/></svg>`;
}
