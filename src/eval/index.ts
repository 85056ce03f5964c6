export { type EvaluateOptions, evaluate } from './evaluate.ts';
export { llavaModel } from './llava-model.ts';
export { isCorrect, normalizeAnswer } from './metric.ts';
export { type EvalModel, type EvalQuestion, type EvalRow, withoutImages } from './question.ts';
export { type EvalReport, formatReport, formatShare, type Score, Tally } from './report.ts';
export { RowFile, spread } from './rows.ts';
export { openTask, TASK_NAMES, type TaskOptions } from './tasks.ts';
