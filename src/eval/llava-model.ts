import type { Llava } from '../engine/index.ts';
import type { EvalModel } from './question.ts';

/** Longest answer to a test question, tokens: the answers that are expected are a few words. */
const MAX_TOKENS = 32;

/** A LLaVA under test: greedy, each question a conversation of its own. */
export function llavaModel(model: Pick<Llava, 'ask'>, maxTokens = MAX_TOKENS): EvalModel {
  return {
    answer: (question, images, signal) => model.ask(question, { images, maxTokens, ...(signal && { signal }) }),
  };
}
