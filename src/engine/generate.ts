/**
 * @file From a prompt to an answer, token by token. One generator makes all answers: those that are streamed, and those
 * that are collected into one string.
 */

import { LlavaError, rejectUnknownKeys, throwIfAborted } from '../core/index.ts';
import { IMAGE_TOKEN_INDEX, type PromptTokens } from '../processor/index.ts';
import { AnswerText } from './answer-text.ts';
import { Draft } from './draft.ts';
import type { EncodableImage } from './image-encoder.ts';
import type { LlavaModel } from './model.ts';
import { SAMPLING_OPTIONS, Sampler, type SamplingOptions } from './sampler.ts';
import type { Sequence, SequenceContent } from './sequence.ts';
import { type Guesser, SpeculativeReader } from './speculation.ts';

/** How an answer is made. */
export interface GenerationOptions extends SamplingOptions {
  /** Longest answer in tokens. Default 512; the model's context may end it sooner. */
  readonly maxTokens?: number;
  /**
   * Tokens guessed at once from the text so far or by the draft model; they are computed together with the next one. The answer stays
   * the same but for ties that rounding decides (none in floats so far); long ones that quote the prompt or themselves come sooner.
   * Default: 0, with a draft model 4.
   */
  readonly lookahead?: number;
  /** The answer ends before the first of these texts. Default: those of the conversation template. */
  readonly stop?: readonly string[];
  /** Cancels with an `AbortedError`, between two tokens or in the middle of one. */
  readonly signal?: AbortSignal;
}

const OPTION_NAMES: readonly string[] = ['maxTokens', 'lookahead', 'stop', 'signal', ...SAMPLING_OPTIONS];
const DEFAULT_MAX_TOKENS = 512;
const MAX_LOOKAHEAD = 32;
/** Tokens that a draft model writes ahead, unless the options say otherwise. */
const DRAFT_LOOKAHEAD = 4;

/** Why an answer ended: an end token or stop text; or `maxTokens` or the context. */
export type FinishReason = 'stop' | 'length';

/** What an answer took, in tokens. */
export interface Usage {
  /** Positions of the prompt, images included. */
  readonly promptTokens: number;
  /** Of these, positions of images. */
  readonly imageTokens: number;
  /** Of these, positions that an earlier turn had computed. */
  readonly cachedTokens: number;
  /** Tokens generated, an end token included. */
  readonly completionTokens: number;
}

/** What an answer took, in milliseconds. */
export interface Timings {
  /** Vision tower. */
  readonly imageMs: number;
  /** Reading the prompt. */
  readonly promptMs: number;
  /** Writing the answer. */
  readonly completionMs: number;
}

/** What {@link generate} yields: pieces of text as they are settled, then one `finish`. */
export type GenerationEvent =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage: Usage; readonly timings: Timings };

/** A prompt ready for a model. */
export interface GenerationInput {
  readonly prompt: PromptTokens;
  /** One for each of the prompt's image positions. */
  readonly images: readonly EncodableImage[];
  /** Take white space off both ends of the answer. */
  readonly trim: boolean;
}

/** Throws {@link LlavaError} on an unknown option or a value out of range. */
export function checkGenerationOptions(options: GenerationOptions): void {
  rejectUnknownKeys('options', options, OPTION_NAMES);
  const { maxTokens = DEFAULT_MAX_TOKENS, lookahead = 0, stop = [] } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new LlavaError(`option maxTokens: expected an integer of at least 1, got ${maxTokens}`);
  }
  if (!Number.isInteger(lookahead) || lookahead < 0 || lookahead > MAX_LOOKAHEAD) {
    throw new LlavaError(`option lookahead: expected an integer from 0 to ${MAX_LOOKAHEAD}, got ${lookahead}`);
  }
  if (!Array.isArray(stop) || stop.some(text => typeof text !== 'string' || text === '')) {
    throw new LlavaError(`option stop: expected a list of texts, got ${JSON.stringify(stop)}`);
  }
}

/**
 * The positions of an answer's prompt that fit, checked: throws {@link LlavaError} when it is longer than the context.
 * @returns positions to make room for, the answer included
 */
export function roomFor(model: LlavaModel, prompt: PromptTokens, maxTokens = DEFAULT_MAX_TOKENS): number {
  const context = model.language.contextLength;
  const length = prompt.ids.length;
  if (length <= context) return Math.min(length + maxTokens, context);
  const { imageTokens } = promptUsage(prompt);
  throw new LlavaError(
    `prompt: expected at most ${context} tokens, the model's context, got ${length} (${imageTokens} of them for images)`,
  );
}

/** Answers `input` within `sequence`, which afterwards holds the prompt and the answer. */
export async function* generate(
  model: LlavaModel,
  sequence: Sequence,
  input: GenerationInput,
  options: GenerationOptions,
): AsyncGenerator<GenerationEvent> {
  const clock = new Clock();
  const content = await sequenceContent(model, input, options.signal);
  const imageMs = clock.lap();
  const cachedTokens = sequence.sharedLength(content);
  const logits = await sequence.read(content, options.signal);
  const promptMs = clock.lap();
  using draft = model.draft && new Draft(model.draft, roomFor(model, input.prompt, options.maxTokens));
  const tokens = generateTokens(sequence, logits, model.eosIds, input.prompt.ids, options, draft);
  const text = new AnswerText(model.processor.tokenizer, {
    after: input.trim ? undefined : input.prompt.ids,
    stop: options.stop ?? model.processor.template.stop,
  });
  let completionTokens = 0;
  let reason: FinishReason | undefined;
  while (!reason) {
    const next = await tokens.next();
    if (next.done) reason = next.value;
    else {
      const piece = text.push(next.value);
      if (piece !== '') yield { type: 'text-delta', text: piece };
      if (text.stopped) reason = 'stop';
    }
    if (!next.done || next.value === 'stop') completionTokens++;
  }
  const rest = text.end();
  if (text.stopped) reason = 'stop';
  if (rest !== '') yield { type: 'text-delta', text: rest };
  const usage = { ...promptUsage(input.prompt), cachedTokens, completionTokens };
  yield { type: 'finish', reason, usage, timings: { imageMs, promptMs, completionMs: clock.lap() } };
}

/**
 * Token after token, an end token excepted; returns why there is no more.
 * @param logits of the position before the first token
 * @param prompt token ids that count as seen for the repetition penalty
 * @param guesser what guesses tokens where the text so far does not, see {@link GenerationOptions.lookahead}
 */
export async function* generateTokens(
  sequence: Sequence,
  logits: Float32Array,
  eosIds: ReadonlySet<number>,
  prompt: readonly number[],
  options: GenerationOptions,
  guesser?: Guesser,
): AsyncGenerator<number, FinishReason> {
  const { signal, maxTokens = DEFAULT_MAX_TOKENS, lookahead = guesser ? DRAFT_LOOKAHEAD : 0 } = options;
  const sampler = new Sampler(samplingOptions(options));
  const seen = new Set(prompt.filter(id => id !== IMAGE_TOKEN_INDEX));
  const reader = new SpeculativeReader(sequence, prompt, sequence.takesSeveral ? lookahead : 0, guesser);
  try {
    for (let count = 1; ; count++) {
      throwIfAborted(signal, 'generate');
      const id = sampler.sample(logits, seen);
      if (eosIds.has(id)) return 'stop';
      yield id;
      if (count === maxTokens || !reader.hasRoom) return 'length';
      seen.add(id);
      logits = await reader.append(id, signal);
    }
  } finally {
    reader.settle();
  }
}

function promptUsage({ ids }: PromptTokens): Pick<Usage, 'promptTokens' | 'imageTokens'> {
  return { promptTokens: ids.length, imageTokens: ids.filter(id => id === IMAGE_TOKEN_INDEX).length };
}

/** Runs the vision tower and puts its features where the prompt wants them. */
async function sequenceContent(
  model: LlavaModel,
  { prompt, images }: GenerationInput,
  signal: AbortSignal | undefined,
): Promise<SequenceContent> {
  const features = images.length === 0 ? [] : await model.encodeImages(images, signal);
  return {
    ids: prompt.ids.map(id => (id === IMAGE_TOKEN_INDEX ? 0 : id)),
    images: prompt.imageStarts.map((start, i) => ({ start, features: features[i]! })),
  };
}

function samplingOptions(options: GenerationOptions): SamplingOptions {
  return Object.fromEntries(SAMPLING_OPTIONS.flatMap(name => (name in options ? [[name, options[name]]] : [])));
}

/** Milliseconds from lap to lap. */
class Clock {
  #last = performance.now();

  lap(): number {
    const now = performance.now();
    const lap = now - this.#last;
    this.#last = now;
    return lap;
  }
}
