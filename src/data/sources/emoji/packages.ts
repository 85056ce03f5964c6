/**
 * @file Where the drawings and names come from: npm packages at fixed versions, with the licence and author of each
 * drawing style. Only styles whose licence allows redistribution with attribution are trained on (no Apple, Facebook,
 * Samsung drawings); share-alike OpenMoji is for testing only.
 */

/** An npm package at a fixed version. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
}

/** A set of drawings by one hand. */
export interface Style {
  readonly name: string;
  readonly package: NpmPackage;
  /** `ink` styles are black drawings on nothing: they have no colours to ask about. */
  readonly kind: 'colour' | 'ink';
  /** SPDX identifier. */
  readonly licence: string;
  readonly author: string;
}

/** Names, groups and keywords of all emoji: Unicode CLDR data as packed by emojibase (MIT). */
export const NAMES_PACKAGE: NpmPackage = { name: 'emojibase-data', version: '17.0.0' };

function style(name: string, version: string, kind: Style['kind'], licence: string, author: string): Style {
  return { name, package: { name: `@iconify-json/${name}`, version }, kind, licence, author };
}

/** The styles of the training set. */
export const TRAINING_STYLES: readonly Style[] = [
  style('noto', '1.2.9', 'colour', 'Apache-2.0', 'Google (Noto Emoji)'),
  style('noto-v1', '1.2.5', 'colour', 'Apache-2.0', 'Google (Noto Emoji, "blob" generation)'),
  style('twemoji', '1.2.5', 'colour', 'CC-BY-4.0', 'Twitter and contributors (Twemoji)'),
  style('fluent-emoji', '1.2.7', 'colour', 'MIT', 'Microsoft (Fluent Emoji)'),
  style('fluent-emoji-flat', '1.2.6', 'colour', 'MIT', 'Microsoft (Fluent Emoji)'),
  style('fluent-emoji-high-contrast', '1.2.6', 'ink', 'MIT', 'Microsoft (Fluent Emoji)'),
  style('emojione', '1.2.3', 'colour', 'CC-BY-4.0', 'EmojiOne 2 / EmojiTwo'),
  style('emojione-monotone', '1.2.1', 'ink', 'CC-BY-4.0', 'EmojiOne 2 / EmojiTwo'),
  style('fxemoji', '1.2.2', 'colour', 'Apache-2.0', 'Mozilla (Firefox OS Emoji)'),
  style('streamline-emojis', '1.2.4', 'colour', 'CC-BY-4.0', 'Streamline (Webalys)'),
];

/** The style that is never trained on. */
export const TEST_STYLE: Style = style(
  'openmoji',
  '1.2.29',
  'colour',
  'CC-BY-SA-4.0',
  'OpenMoji (HfG Schwäbisch Gmünd)',
);
