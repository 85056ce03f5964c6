/** Lower case, runs of white space as one space, no space around, no full stops at the end. */
export function normalizeAnswer(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replace(/[\s.]+$/, '');
}

/** Exact match after {@link normalizeAnswer}. */
export function isCorrect(answer: string, expected: string): boolean {
  return normalizeAnswer(answer) === normalizeAnswer(expected);
}
