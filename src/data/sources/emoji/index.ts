export type { Drawing } from './atlas.ts';
export { COLOURS, type Colour, colourName, mainColour } from './colour.ts';
export type { Concept } from './concepts.ts';
export { attributions, type EmojiData, type EmojiOptions, openEmojiData } from './emoji-data.ts';
export {
  EMOJI_TASKS,
  type EmojiSourceOptions,
  type EmojiTask,
  emojiSource,
  INSTRUCT_KINDS,
  type InstructKind,
} from './emoji-source.ts';
export { type FetchOptions, fetchPackages } from './fetch.ts';
export { type NpmPackage, type Style, TEST_STYLE, TRAINING_STYLES } from './packages.ts';
export { QUESTION_KINDS, type QuestionKind } from './phrases.ts';
export { type EmojiTestOptions, emojiTest, type TestQuestion } from './test-set.ts';
export { GROUPS, type Group } from './vocabulary.ts';
