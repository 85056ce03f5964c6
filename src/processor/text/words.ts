/**
 * @file Words in text whose spaces are written as `▁`. Where no token of a vocabulary spans two words, merging each
 * word by itself gives the same tokens as merging the whole text, and results can be kept by word.
 */

/** Words whose tokens are kept. */
export const CACHED_WORDS = 20_000;
/** Longest word whose tokens are kept, in UTF-16 units. */
export const CACHED_LENGTH = 64;

const MARK = '▁';

/** True when a token goes on into another word: `▁` after another character. */
export function spansWords(token: string): boolean {
  return /[^▁]▁/u.test(token);
}

/** Splits before each `▁` that follows another character. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let start = 0;
  for (let mark = text.indexOf(MARK); mark >= 0; mark = text.indexOf(MARK, mark + 1)) {
    if (mark > 0 && text[mark - 1] !== MARK) {
      words.push(text.slice(start, mark));
      start = mark;
    }
  }
  if (start < text.length) words.push(text.slice(start));
  return words;
}
