/**
 * @file What an easy-VQA image shows, worked out from the questions about it: each answer leaves fewer shapes and colours
 * possible, until one of each is left.
 */

/** Question and answer about one image. */
export interface QuestionAnswer {
  readonly question: string;
  readonly answer: string;
}

/** What an image shows, as far as it is known. */
export interface Scene {
  readonly shape: string | undefined;
  readonly color: string | undefined;
}

const SHAPES = ['circle', 'rectangle', 'triangle'];
const COLORS = ['black', 'blue', 'brown', 'gray', 'green', 'red', 'teal', 'yellow'];

/** The scene that all of the questions and answers agree on. */
export function recoverScene(questions: readonly QuestionAnswer[]): Scene {
  return { shape: onlyOne(SHAPES, questions), color: onlyOne(COLORS, questions) };
}

/** `a blue circle`; undefined unless both are known. */
export function sceneCaption({ shape, color }: Scene): string | undefined {
  return shape === undefined || color === undefined ? undefined : `a ${color} ${shape}`;
}

/** The one of `words` that no answer excludes. */
function onlyOne(words: readonly string[], questions: readonly QuestionAnswer[]): string | undefined {
  const left = words.filter(word => questions.every(question => allows(question, words, word)));
  return left.length === 1 ? left[0] : undefined;
}

/**
 * Can the image show `word`, which is one of `words`, when the question has this answer? A question that asks for one of
 * `words` is answered by it; a question that takes one for granted ("what is the blue shape?") tells it; a yes/no question
 * about one tells or excludes it.
 */
function allows({ question, answer }: QuestionAnswer, words: readonly string[], word: string): boolean {
  if (words.includes(answer)) return answer === word;
  const named = words.find(candidate => question.split(/\W+/).includes(candidate));
  if (named === undefined) return true;
  const isPresent = answer !== 'yes' && answer !== 'no' ? true : (answer === 'yes') !== /\b(not|no)\b/.test(question);
  return isPresent === (named === word);
}
