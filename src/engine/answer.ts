import { assert } from '../core/index.ts';
import type { FinishReason, GenerationEvent, Timings, Usage } from './generate.ts';

/** A whole answer. */
export interface Answer {
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly usage: Usage;
  readonly timings: Timings;
}

/** Folds events into an answer. */
export async function collectAnswer(events: AsyncIterable<GenerationEvent>): Promise<Answer> {
  let text = '';
  for await (const event of events) {
    if (event.type === 'text-delta') text += event.text;
    else return { text, finishReason: event.reason, usage: event.usage, timings: event.timings };
  }
  assert(false, 'answer without an end');
}

/** The pieces of text alone. */
export async function* textOf(events: AsyncIterable<GenerationEvent>): AsyncGenerator<string> {
  for await (const event of events) if (event.type === 'text-delta') yield event.text;
}
