import { throwIfAborted } from '../core/index.ts';
import { isCorrect } from './metric.ts';
import { type EvalModel, type EvalQuestion, type EvalRow, withoutImages } from './question.ts';
import { type EvalReport, Tally } from './report.ts';

/** How a test is run. */
export interface EvaluateOptions {
  /** Asks without the images: the baseline that a score is to be read beside. Default false. */
  readonly textOnly?: boolean;
  /** Rows of an earlier run by id; these questions are not asked again. */
  readonly known?: ReadonlyMap<string, EvalRow>;
  /** Called after each question, in order, also for `known` ones. */
  readonly onRow?: (row: EvalRow) => void;
  /** Ends the run with an `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

/** Asks all questions one after another and counts the correct answers. */
export async function evaluate(
  model: EvalModel,
  questions: Iterable<EvalQuestion> | AsyncIterable<EvalQuestion>,
  options: EvaluateOptions = {},
): Promise<EvalReport> {
  const { textOnly = false, known, onRow, signal } = options;
  const tally = new Tally();
  for await (const question of questions) {
    throwIfAborted(signal, 'eval');
    const asked = textOnly ? withoutImages(question) : question;
    const row = known?.get(asked.id) ?? (await ask(model, asked, signal));
    tally.add(row);
    onRow?.(row);
  }
  return tally.report();
}

async function ask(model: EvalModel, { answer: expected, images, ...question }: EvalQuestion, signal?: AbortSignal) {
  const answer = await model.answer(question.question, images, signal);
  return { ...question, expected, answer, correct: isCorrect(answer, expected) };
}
