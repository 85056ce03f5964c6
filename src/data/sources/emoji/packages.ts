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

/**
 * How the drawings of a style are found. `emoji`: an Iconify set of emoji, by code points or Unicode names. `named`: an
 * Iconify set of other icons, by the concepts' own names, `suffix` telling one of several weights. `font`: a font of emoji.
 */
export type StyleForm =
  | { readonly kind: 'emoji' }
  | { readonly kind: 'named'; readonly suffix: string }
  | { readonly kind: 'font'; readonly weight: number };

/** A set of drawings by one hand. */
export interface Style {
  readonly name: string;
  readonly package: NpmPackage;
  readonly form: StyleForm;
  /** `ink` styles are black drawings on nothing: they have no colours to ask about. */
  readonly kind: 'colour' | 'ink';
  /** SPDX identifier. */
  readonly licence: string;
  readonly author: string;
}

/** Names, groups and keywords of all emoji: Unicode CLDR data as packed by emojibase (MIT). */
export const NAMES_PACKAGE: NpmPackage = { name: 'emojibase-data', version: '17.0.0' };

function style(name: string, version: string, kind: Style['kind'], licence: string, author: string): Style {
  return { name, package: iconify(name, version), form: { kind: 'emoji' }, kind, licence, author };
}

function iconify(name: string, version: string): NpmPackage {
  return { name: `@iconify-json/${name}`, version };
}

/** Icons that are not emoji, in black or in the set's own two colours: nobody is asked about their colour. */
function icons(name: string, version: string, suffix: string, licence: string, author: string): Style {
  return { name, package: iconify(name, version), form: { kind: 'named', suffix }, kind: 'ink', licence, author };
}

/** The styles of the training set that draw nearly all concepts. */
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

/** Styles trained on besides: a font of line drawings, and icons that draw some of the concepts, each in its own way. */
export const EXTRA_STYLES: readonly Style[] = [
  {
    name: 'noto-emoji-font',
    package: { name: '@fontsource/noto-emoji', version: '5.3.2' },
    form: { kind: 'font', weight: 400 },
    kind: 'ink',
    licence: 'OFL-1.1',
    author: 'Google (Noto Emoji, monochrome)',
  },
  icons('game-icons', '1.2.4', '', 'CC-BY-3.0', 'game-icons.net'),
  icons('hugeicons', '1.2.35', '', 'MIT', 'Hugeicons'),
  icons('icon-park', '1.2.4', '', 'Apache-2.0', 'ByteDance (IconPark)'),
  icons('icon-park-solid', '1.2.4', '', 'Apache-2.0', 'ByteDance (IconPark)'),
  icons('ph', '1.2.2', '', 'MIT', 'Phosphor Icons'),
  icons('mingcute', '1.2.8', '-line', 'Apache-2.0', 'MingCute Design'),
  icons('tabler', '1.2.41', '', 'MIT', 'Paweł Kuna (Tabler Icons)'),
  icons('lucide', '1.2.137', '', 'ISC', 'Lucide Contributors'),
  icons('lucide-lab', '1.2.3', '', 'ISC', 'Lucide Contributors'),
  icons('mdi', '1.2.3', '', 'Apache-2.0', 'Pictogrammers (Material Design Icons)'),
  icons('fa6-solid', '1.2.4', '', 'CC-BY-4.0', 'Fonticons (Font Awesome 6 Free)'),
  icons('iconoir', '1.2.11', '', 'MIT', 'Luca Burgio (Iconoir)'),
  icons('carbon', '1.2.29', '', 'Apache-2.0', 'IBM (Carbon)'),
  icons('solar', '1.2.13', '-bold-duotone', 'CC-BY-4.0', '480 Design (Solar)'),
  icons('streamline-color', '1.2.2', '', 'CC-BY-4.0', 'Streamline (Webalys)'),
  icons('streamline-cyber-color', '1.2.2', '', 'CC-BY-4.0', 'Streamline (Webalys)'),
  icons('streamline-plump-color', '1.2.2', '', 'CC-BY-4.0', 'Streamline (Webalys)'),
];

/** The style that is never trained on. */
export const TEST_STYLE: Style = style(
  'openmoji',
  '1.2.29',
  'colour',
  'CC-BY-SA-4.0',
  'OpenMoji (HfG Schwäbisch Gmünd)',
);
