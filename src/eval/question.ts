import type { RgbImage } from '../processor/index.ts';

/** One question of a test. */
export interface EvalQuestion {
  /** Different for each question of a test. */
  readonly id: string;
  /** Scores are given for each kind. */
  readonly kind: string;
  readonly images: readonly RgbImage[];
  /** With as many `<image>` marks as images, or none. */
  readonly question: string;
  readonly answer: string;
}

/** What is tested: anything that answers. */
export interface EvalModel {
  answer(question: string, images: readonly RgbImage[], signal?: AbortSignal): Promise<string>;
}

/** A question with the answer given. */
export interface EvalRow {
  readonly id: string;
  readonly kind: string;
  readonly question: string;
  readonly expected: string;
  readonly answer: string;
  readonly correct: boolean;
}

/** The same question without its images: what can be guessed from the words alone. */
export function withoutImages(question: EvalQuestion): EvalQuestion {
  return { ...question, images: [], question: question.question.replaceAll(/<image>\n?/g, '').trim() };
}
