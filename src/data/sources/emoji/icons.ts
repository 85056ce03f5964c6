/** @file Reads a set of drawings in Iconify's JSON format (icons.json, chars.json) and finds the drawings of an emoji. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError } from '../../../core/index.ts';
import { MISLEADING, MISNAMED, OLD_NAMES } from './old-names.ts';

interface IconEntry {
  readonly body?: string;
  readonly parent?: string;
  readonly left?: number;
  readonly top?: number;
  readonly width?: number;
  readonly height?: number;
  readonly hFlip?: boolean;
}

interface IconFile {
  readonly icons: Readonly<Record<string, IconEntry>>;
  readonly aliases?: Readonly<Record<string, IconEntry>>;
  readonly width?: number;
  readonly height?: number;
}

/** Unicode name in the form used here (lower case, straight apostrophes) → code points in hex, without U+FE0F. */
export type CodePoints = ReadonlyMap<string, string>;

/** The drawings of one style, as SVG text by code points; several where a style draws an emoji more than once. */
export type IconSet = ReadonlyMap<string, readonly string[]>;

/** `1F441-FE0F` → `1f441`: variation selectors do not tell emoji apart. */
export function plainCodePoints(hexcode: string): string {
  return hexcode.toLowerCase().replaceAll('-fe0f', '');
}

/** Icon sets spell names without accents and punctuation and with hyphens; Firefox OS and some others without those too. */
function looseName(name: string): string {
  return name
    .normalize('NFD')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');
}

/**
 * Reads the drawings in `folder`. A set without a table of code points is joined by names.
 * @throws LlavaError when the folder holds no readable icons.json.
 */
export async function readIcons(folder: string, style: string, codePoints: CodePoints): Promise<IconSet> {
  const file = await readIconFile(folder);
  const found = new Map<string, Set<string>>();
  const add = (code: string, icon: string) => {
    const svg = iconSvg(file, icon);
    if (svg) found.set(code, (found.get(code) ?? new Set()).add(svg));
  };
  const chars = await readChars(folder);
  for (const [code, icon] of chars) add(plainCodePoints(code), icon);
  if (chars.length === 0) {
    const codeOf = nameJoiner(style, codePoints);
    for (const icon of [...Object.keys(file.icons), ...Object.keys(file.aliases ?? {})]) {
      const code = codeOf(icon);
      if (code) add(code, icon);
    }
  }
  return new Map([...found].map(([code, svgs]) => [code, [...svgs]]));
}

/**
 * Reads the icons in `folder` whose name, with `suffix`, is that of a concept; numbers at its end tell variants apart.
 * @param codes concept name → code points that stand for it
 * @throws LlavaError when the folder holds no readable icons.json.
 */
export async function readNamedIcons(
  folder: string,
  { style, suffix }: { style: string; suffix: string },
  codes: CodePoints,
): Promise<IconSet> {
  const file = await readIconFile(folder);
  const loose = new Map([...codes].map(([name, code]) => [looseName(name), code]));
  const found = new Map<string, string[]>();
  for (const icon of Object.keys(file.icons)) {
    if (!icon.endsWith(suffix)) continue;
    const name = icon.slice(0, icon.length - suffix.length).replace(/-0?[1-9]$/, '');
    const code = loose.get(looseName(name));
    if (!code || MISLEADING.has(name) || MISNAMED.has(`${style}/${name}`)) continue;
    found.set(code, [...(found.get(code) ?? []), iconSvg(file, icon)!]);
  }
  return found;
}

async function readIconFile(folder: string): Promise<IconFile> {
  const path = join(folder, 'icons.json');
  try {
    return JSON.parse(await readFile(path, 'utf8')) as IconFile;
  } catch (error) {
    throw new LlavaError(`${path}: expected an Iconify set, got ${(error as Error).message}`);
  }
}

async function readChars(folder: string): Promise<[string, string][]> {
  return Object.entries(JSON.parse(await readFile(join(folder, 'chars.json'), 'utf8')) as Record<string, string>);
}

/** Finds the code points an icon's name stands for: by today's names, then by older ones. Variants end in -1, -2, -3. */
function nameJoiner(style: string, codePoints: CodePoints): (icon: string) => string | undefined {
  const loose = new Map([...codePoints].map(([name, code]) => [looseName(name), code]));
  const old = new Map([...OLD_NAMES.get('*')!, ...(OLD_NAMES.get(style) ?? [])]);
  return icon => {
    if (MISNAMED.has(`${style}/${icon}`)) return undefined;
    const name = icon.replace(/-[1-9]$/, '');
    const renamed = old.get(name);
    if (renamed) return codePoints.get(renamed);
    return loose.get(looseName(name)) ?? loose.get(looseName(name.replace(/-face\b/, '')));
  };
}

/** The whole SVG of an icon; undefined when it is not in the set. */
function iconSvg(file: IconFile, name: string): string | undefined {
  let entry = file.icons[name];
  let flip = false;
  for (let alias = file.aliases?.[name]; !entry && alias; ) {
    flip = flip !== (alias.hFlip ?? false);
    entry = file.icons[alias.parent!];
    alias = file.aliases?.[alias.parent!];
  }
  if (!entry?.body) return undefined;
  const { left = 0, top = 0, width = file.width ?? 16, height = file.height ?? 16, body } = entry;
  const flipped = flip ? `<g transform="translate(${2 * left + width} 0) scale(-1 1)">${body}</g>` : body;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${width} ${height}" color="#000">${flipped}</svg>`;
}
