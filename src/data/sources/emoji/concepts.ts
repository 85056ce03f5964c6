/**
 * @file The concepts: what a drawing can be called, joined from the vocabulary here and the Unicode names and keywords of
 * emojibase. One in twenty is held out: no style of it is ever trained on, nor its name.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, LlavaError, Rng } from '../../../core/index.ts';
import { type CodePoints, plainCodePoints } from './icons.ts';
import { GROUPS, type Group, VOCABULARY } from './vocabulary.ts';

/** Something that can be drawn and named. */
export interface Concept {
  /** Position in the list of concepts. */
  readonly id: number;
  /** Lower-case English name: the answer to "What is this?". */
  readonly name: string;
  readonly group: Group;
  /** Other words for it, from Unicode. */
  readonly keywords: readonly string[];
  /** Code points of the emoji listed in the vocabulary, the first the most typical. */
  readonly members: readonly string[];
  /** Those and their variants by gender and hair. */
  readonly codes: readonly string[];
  /** True when only colour tells it from another concept (red heart, blue heart). */
  readonly colourBound: boolean;
  /** True when a mirror image would show something else (arrows, letters, pointing hands). */
  readonly oriented: boolean;
  readonly heldOut: boolean;
}

interface Emoji {
  readonly label: string;
  readonly hexcode: string;
  readonly tags?: readonly string[];
  readonly group?: number;
}

/** Every emoji by its name. */
export type EmojiNames = ReadonlyMap<string, { readonly code: string; readonly keywords: readonly string[] }>;

/** Reads the names from the folder of the package emojibase-data. */
export async function readNames(folder: string): Promise<EmojiNames> {
  const path = join(folder, 'en', 'data.json');
  try {
    const list = JSON.parse(await readFile(path, 'utf8')) as readonly Emoji[];
    return new Map(
      list.filter(emoji => emoji.group !== undefined).map(emoji => [plainName(emoji.label), entry(emoji)]),
    );
  } catch (error) {
    throw new LlavaError(`${path}: expected emoji names, got ${(error as Error).message}`);
  }
}

/** Name → code points. */
export function codePointsOf(names: EmojiNames): CodePoints {
  return new Map([...names].map(([name, { code }]) => [name, code]));
}

function plainName(label: string): string {
  return label.toLowerCase().replaceAll('’', "'");
}

function entry({ hexcode, tags = [] }: Emoji): { code: string; keywords: readonly string[] } {
  return { code: plainCodePoints(hexcode), keywords: tags.filter(tag => /^[a-z][a-z' -]*$/.test(tag)) };
}

/** Which concepts a model is taught and asked about. */
export interface ConceptSelection {
  /** Default: {@link TAUGHT_GROUPS}. */
  readonly groups?: readonly Group[];
  /** Training styles that must have a drawing of the concept. Default 9 of the 10. */
  readonly minStyles?: number;
}

/** The groups of things: what tells faces, people and signs apart is small print at the size of the demo model's images. */
export const TAUGHT_GROUPS: readonly Group[] = [
  ...(['animal', 'plant', 'food', 'place', 'vehicle', 'sky', 'sport', 'clothing', 'music', 'object'] as const),
];

/** The concepts that the selection admits; `styles` are the training styles. */
export function selectConcepts(
  concepts: readonly Concept[],
  { groups = TAUGHT_GROUPS, minStyles = 9 }: ConceptSelection,
  styles: readonly { has(code: string): boolean }[],
): Concept[] {
  const drawn = ({ codes }: Concept) => styles.filter(style => codes.some(code => style.has(code))).length;
  return concepts.filter(concept => groups.includes(concept.group) && drawn(concept) >= minStyles);
}

/** The concepts in the order of the vocabulary. */
export function buildConcepts(names: EmojiNames): Concept[] {
  const rows = GROUPS.flatMap(group => parseGroup(group).map(row => ({ ...row, group })));
  const heldOut = chooseHeldOut(rows);
  const rests = countColouredRests(rows.map(row => row.name));
  return rows.map(({ name, labels, group }, id) => {
    const found = labels.map(label => names.get(label));
    assert(
      found.every(one => one !== undefined),
      `vocabulary: no emoji for ${name} among ${labels}`,
    );
    const variants = group === 'person' ? labels.flatMap(label => variantsOf(label, names)) : [];
    const keywords = new Set(found.flatMap(one => one.keywords).filter(word => word !== name));
    return {
      ...{ id, name, group, keywords: [...keywords] },
      members: found.map(one => one.code),
      codes: [...new Set([...found, ...variants].map(one => one.code))],
      colourBound: (rests.get(withoutColour(name) ?? '') ?? 0) > 1,
      oriented: group === 'symbol' || /\b(left|right|up|down)\b/.test(name),
      heldOut: heldOut.has(name),
    };
  });
}

interface Row {
  readonly name: string;
  readonly labels: readonly string[];
}

function parseGroup(group: Group): Row[] {
  return VOCABULARY[group].split(',').map(item => {
    const [name, labels = name] = item.split('=').map(part => part.trim()) as [string, string?];
    return { name, labels: labels.split('|').map(label => label.trim()) };
  });
}

const HELD_OUT_SEED = 5;

/** One in twenty of each group, always the same. Never one that only colour tells apart: it would be known all the same. */
function chooseHeldOut(rows: readonly (Row & { group: Group })[]): Set<string> {
  const chosen = GROUPS.flatMap((group, i) => {
    const names = rows.filter(row => row.group === group && !withoutColour(row.name)).map(row => row.name);
    return new Rng(HELD_OUT_SEED + i).shuffle(names).slice(0, Math.round(names.length / 20));
  });
  return new Set(chosen);
}

const COLOURED =
  /^(red|orange|yellow|green|light blue|blue|purple|pink|brown|black|grey|white|gold|silver|bronze) (.+)$/;

/** `red heart` → `heart`; undefined for names without a colour. */
function withoutColour(name: string): string | undefined {
  return COLOURED.exec(name)?.[2];
}

function countColouredRests(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) {
    const rest = withoutColour(name);
    if (rest) counts.set(rest, (counts.get(rest) ?? 0) + 1);
  }
  return counts;
}

/** `cook` → man cook, woman cook; `person running` → man running, …; `kiss` → kiss: woman, man, …. */
function variantsOf(label: string, names: EmojiNames): { code: string; keywords: readonly string[] }[] {
  const core = label.replace(/^(person|people) /, '');
  const starts = [label, ...['man', 'woman', 'men', 'women'].map(who => `${who} ${core}`)];
  return [...names].filter(([name]) => starts.some(s => name === s || name.startsWith(`${s}:`))).map(([, one]) => one);
}
