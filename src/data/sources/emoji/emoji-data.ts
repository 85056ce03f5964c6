/** @file Everything about the emoji data set that stays in memory: concepts, rendered drawings, where test drawings are. */

import { join } from 'node:path';
import { cacheFolder, LlavaError } from '../../../core/index.ts';
import { type Drawing, listDrawings, loadAtlas } from './atlas.ts';
import {
  buildConcepts,
  type Concept,
  type ConceptSelection,
  codePointsOf,
  readNames,
  selectConcepts,
} from './concepts.ts';
import { type FetchOptions, fetchPackages } from './fetch.ts';
import { readEmojiFont } from './font.ts';
import { type CodePoints, type IconSet, readIcons, readNamedIcons } from './icons.ts';
import { EXTRA_STYLES, NAMES_PACKAGE, type Style, TEST_STYLE, TRAINING_STYLES } from './packages.ts';

/** Side of the images unless another is asked for: that of the demo model, pixels. */
export const IMAGE_SIZE = 60;

/** Options of {@link openEmojiData}. */
export interface EmojiOptions extends FetchOptions, ConceptSelection {
  /** Side of the rendered drawings and of the canvas they are painted on, pixels. Default {@link IMAGE_SIZE}. */
  readonly imageSize?: number;
  /** While drawings are rendered for the first time (about half a minute). */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The training data. */
export interface EmojiData {
  readonly imageSize: number;
  readonly concepts: readonly Concept[];
  /** Concepts with drawings to train on, as selected. */
  readonly known: readonly Concept[];
  /** Drawings of a concept, by its id; empty for held-out concepts. */
  readonly drawings: readonly (readonly Drawing[])[];
}

/** Fetches (first time only), renders (first time only) and loads the drawings of the training styles. */
export async function openEmojiData(options: EmojiOptions = {}): Promise<EmojiData> {
  const { imageSize = IMAGE_SIZE } = options;
  if (!Number.isInteger(imageSize) || imageSize < 16 || imageSize > 512) {
    throw new LlavaError(`emoji data: expected an imageSize from 16 to 512, got ${imageSize}`);
  }
  const { concepts, styles } = await openStyles([...TRAINING_STYLES, ...EXTRA_STYLES], options);
  const { signal, onProgress } = options;
  const folder = join(options.cacheDir ?? cacheFolder(), 'drawings');
  const drawings = await loadAtlas(listDrawings(concepts, styles), { folder, side: imageSize, signal, onProgress });
  const taught = new Set(
    selectConcepts(
      concepts,
      options,
      TRAINING_STYLES.map(style => styles.get(style)!),
    ),
  );
  const data = groupDrawings(concepts, drawings, imageSize);
  return { ...data, known: data.known.filter(concept => taught.has(concept)) };
}

/** Puts drawings beside their concepts. */
export function groupDrawings(
  concepts: readonly Concept[],
  drawings: readonly Drawing[],
  imageSize: number,
): EmojiData {
  const byConcept: Drawing[][] = concepts.map(() => []);
  for (const drawing of drawings) byConcept[drawing.concept.id]!.push(drawing);
  const known = concepts.filter(concept => byConcept[concept.id]!.length > 0);
  return { imageSize, concepts, known, drawings: byConcept };
}

/** Concepts and icon sets of some styles, fetched when they are not in the cache. */
export async function openStyles(
  styles: readonly Style[],
  options: FetchOptions,
): Promise<{ concepts: Concept[]; styles: ReadonlyMap<Style, IconSet> }> {
  const folderOf = await fetchPackages([NAMES_PACKAGE, ...styles.map(style => style.package)], options);
  const names = await readNames(folderOf(NAMES_PACKAGE.name));
  const codePoints = codePointsOf(names);
  const concepts = buildConcepts(names);
  const conceptCodes = new Map(concepts.map(({ name, members }) => [name, members[0]!]));
  const sets = new Map<Style, IconSet>();
  for (const style of styles)
    sets.set(style, await readStyle(style, folderOf(style.package.name), codePoints, conceptCodes));
  return { concepts, styles: sets };
}

function readStyle({ name, form }: Style, folder: string, emoji: CodePoints, concepts: CodePoints): Promise<IconSet> {
  if (form.kind === 'font') return readEmojiFont(folder, form.weight, new Set(emoji.values()));
  if (form.kind === 'named') return readNamedIcons(folder, { style: name, suffix: form.suffix }, concepts);
  return readIcons(folder, name, emoji);
}

/** Attribution lines for a model card, one for each style trained on, and for the one tested on. */
export function attributions(): string[] {
  const line = ({ package: { name, version }, licence, author }: Style, use: string) =>
    `${name} ${version}: ${author}, ${licence} (${use})`;
  return [
    ...[...TRAINING_STYLES, ...EXTRA_STYLES].map(style => line(style, 'training')),
    line(TEST_STYLE, 'test only'),
  ];
}
