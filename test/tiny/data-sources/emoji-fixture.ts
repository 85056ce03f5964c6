/** @file A cache folder as `fetchPackages` leaves it, with the real names of all emoji and made-up drawings of a few. */

import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as opentype from 'opentype.js/dist/opentype.mjs';
import {
  EXTRA_STYLES,
  NAMES_PACKAGE,
  type Style,
  TEST_STYLE,
  TRAINING_STYLES,
} from '../../../src/data/sources/emoji/packages.ts';

const GOLDEN = new URL('../../golden/data-sources/emoji-names.json', import.meta.url);

/** Label and code points (hex) of every emoji. */
export async function realNames(): Promise<[string, string][]> {
  return (JSON.parse(await readFile(GOLDEN, 'utf8')) as { names: [string, string][] }).names;
}

/** Label → colour of its drawings, one colour each, all in every style. */
export const DRAWN: Readonly<Record<string, string>> = {
  'red apple': '#e02020',
  banana: '#ffd800',
  grapes: '#8a3fc0',
  'dog face': '#8b5a2b',
  frog: '#30a830',
  dolphin: '#2080e0',
  elephant: '#9a9a9a',
  'blue heart': '#2060e0',
  automobile: '#e02020',
  'black large square': '#101010',
};

/** Each style has its shape; one has a hole, `ink` ones are black. */
function drawing(style: string, fill: string): string {
  const index = [...TRAINING_STYLES, TEST_STYLE].findIndex(one => one.name === style);
  if (index % 2 === 0) return `<rect x="10" y="20" width="80" height="60" fill="${fill}"/>`;
  return `<circle cx="50" cy="50" r="40" fill="${fill}"/>`;
}

/** Makes the folder; returns its path, to be given as `cacheDir`. */
export async function makeCache(): Promise<string> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'llava-emoji-'));
  const names = await realNames();
  const emoji = names.map(([label, hexcode]) => ({ label, hexcode, tags: ['thing', '1st'], group: 1 }));
  await writePackage(cacheDir, NAMES_PACKAGE, { 'en/data.json': emoji });
  const codes = new Map(names.map(([label, hexcode]) => [label, hexcode.toLowerCase()]));
  for (const style of [...TRAINING_STYLES, TEST_STYLE]) {
    const labels = Object.keys(DRAWN);
    const body = (label: string) => drawing(style.name, style.kind === 'ink' ? '#000' : DRAWN[label]!);
    const icons = Object.fromEntries(labels.map(label => [label.replaceAll(' ', '-'), { body: body(label) }]));
    const chars = Object.fromEntries(labels.map(label => [codes.get(label)!, label.replaceAll(' ', '-')]));
    const files = { 'icons.json': { prefix: style.name, icons, width: 100, height: 100 }, 'chars.json': chars };
    await writePackage(cacheDir, style.package, files);
  }
  for (const style of EXTRA_STYLES) await writePackage(cacheDir, style.package, extraFiles(style, codes));
  return cacheDir;
}

/** Concepts that every set of icons draws; each set calls two other icons by misleading names. */
export const ICONS = ['frog', 'dolphin', 'elephant'] as const;

function extraFiles({ name, form }: Style, codes: ReadonlyMap<string, string>): Record<string, unknown> {
  if (form.kind === 'font') {
    return { [`files/${name}-0-${form.weight}-normal.woff`]: drawnFont(ICONS.map(label => codes.get(label)!)) };
  }
  const suffix = form.kind === 'named' ? form.suffix : '';
  const body = '<path d="M1 1h14v14h-14z" fill="none" stroke="currentColor" stroke-width="2"/>';
  const icons = [...ICONS.map(icon => `${icon}-01${suffix}`), `ram${suffix}`, 'frog-unlike-any', `nothing${suffix}`];
  return { 'icons.json': { prefix: name, icons: Object.fromEntries(icons.map(icon => [icon, { body }])) } };
}

/** A font with one square for each code point, and a hole in it. */
function drawnFont(codes: readonly string[]): Uint8Array {
  const { Font, Glyph, Path } = opentype as unknown as OpentypeMaker;
  const square = new Path();
  for (const [from, to] of [
    [0, 900],
    [700, 200],
  ] as const) {
    square.moveTo(from, from);
    for (const [x, y] of [
      [to, from],
      [to, to],
      [from, to],
    ] as const)
      square.lineTo(x, y);
    square.close();
  }
  const glyph = (name: string, unicode: number | undefined) =>
    new Glyph({ name, unicode, advanceWidth: 1000, path: name === '.notdef' ? new Path() : square });
  const glyphs = [glyph('.notdef', undefined), ...codes.map(code => glyph(`u${code}`, Number.parseInt(code, 16)))];
  const shape = { familyName: 'Drawn', styleName: 'Regular', unitsPerEm: 1000, ascender: 900, descender: -100 };
  return new Uint8Array(new Font({ ...shape, glyphs }).toArrayBuffer());
}

/** The part of opentype.js that makes fonts. */
interface OpentypeMaker {
  Font: new (options: object) => { toArrayBuffer(): ArrayBuffer };
  Glyph: new (options: object) => object;
  Path: new () => { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void; close(): void };
}

async function writePackage(
  cacheDir: string,
  { name, version }: { name: string; version: string },
  files: Readonly<Record<string, unknown>>,
): Promise<void> {
  const folder = join(cacheDir, 'npm', 'node_modules', ...name.split('/'));
  for (const [path, content] of Object.entries({ 'package.json': { name, version }, ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content instanceof Uint8Array ? content : JSON.stringify(content));
  }
}
