/**
 * @file Conversations with a model. A conversation keeps its key/value cache between turns, so each turn reads only what
 * is new: the answer's end and the next question.
 */

import { assert, LlavaError } from '../core/index.ts';
import { type ChatMessage, type ImageSource, readImage, renderMessages, tokenizePrompt } from '../processor/index.ts';
import { type Answer, collectAnswer, textOf } from './answer.ts';
import {
  checkGenerationOptions,
  type GenerationEvent,
  type GenerationInput,
  type GenerationOptions,
  generate,
  roomFor,
} from './generate.ts';
import { type EncodableImage, encodableImage } from './image-encoder.ts';
import type { LlavaModel } from './model.ts';
import type { Sequence } from './sequence.ts';

/** A question's images, and how its answer is made. */
export interface AskOptions extends GenerationOptions {
  readonly image?: ImageSource;
  readonly images?: readonly ImageSource[];
}

/** What holds for a whole conversation. */
export interface ConversationOptions {
  /** Instead of the system text of the model's template; '' for none. */
  readonly system?: string;
}

/** A message whose images are read and prepared. */
export interface Turn {
  readonly role: ChatMessage['role'];
  readonly content: string;
  readonly images: readonly EncodableImage[];
}

/** Reads a message's images. Throws {@link LlavaError} that names the one that cannot be read. */
export async function readTurn(model: LlavaModel, { role, content, images = [] }: ChatMessage): Promise<Turn> {
  const prepared = await Promise.all(images.map(image => readImage(model.processor, image, model.imageLimits)));
  return { role, content, images: prepared.map(encodableImage) };
}

/** The prompt that asks for an answer to the last turn. */
export function conversationInput(
  { processor }: LlavaModel,
  turns: readonly Turn[],
  options: ConversationOptions,
): GenerationInput {
  const images = turns.flatMap(turn => turn.images);
  const layouts = images.map(image => image.layout);
  const prompt = tokenizePrompt(processor, renderMessages(processor, turns, options), layouts);
  return { prompt, images, trim: true };
}

/** Separates a question's images from the options of its answer. Throws {@link LlavaError} on a wrong option. */
export function splitAskOptions({ image, images = [], ...options }: AskOptions) {
  checkGenerationOptions(options);
  return { images: image === undefined ? images : [image, ...images], options };
}

/** A conversation: its turns, and the cache of what was read and said. One question at a time. Dispose it when done. */
export class Conversation implements Disposable {
  readonly #model: LlavaModel;
  readonly #options: ConversationOptions;
  #turns: Turn[] = [];
  #sequence: Sequence | undefined;
  #busy = false;

  /** Use `Llava.chat()`. */
  constructor(model: LlavaModel, options: ConversationOptions = {}) {
    this.#model = model;
    this.#options = options;
  }

  /** What was asked and answered so far. */
  get messages(): readonly Omit<ChatMessage, 'images'>[] {
    return this.#turns.map(({ role, content }) => ({ role, content }));
  }

  /** The answer to `text`. */
  async ask(text: string, options: AskOptions = {}): Promise<string> {
    return (await this.answer(text, options)).text;
  }

  /** The answer to `text` with what it took. */
  answer(text: string, options: AskOptions = {}): Promise<Answer> {
    return collectAnswer(this.generate(text, options));
  }

  /** The answer to `text`, piece by piece. */
  stream(text: string, options: AskOptions = {}): AsyncGenerator<string> {
    return textOf(this.generate(text, options));
  }

  /**
   * The answer to `text` as events. When it is broken off (an error, an abort, a consumer that leaves), what was said until
   * then stays in the conversation; if nothing was said, the question does not stay either.
   */
  async *generate(text: string, askOptions: AskOptions = {}): AsyncGenerator<GenerationEvent> {
    const { images, options } = splitAskOptions(askOptions);
    if (this.#busy) throw new LlavaError('conversation: expected one question at a time, got one during an answer');
    this.#busy = true;
    let answer = '';
    const before = this.#turns;
    try {
      const turn = await readTurn(this.#model, { role: 'user', content: text, images });
      this.#turns = [...before, turn];
      const input = conversationInput(this.#model, this.#turns, this.#options);
      const room = roomFor(this.#model, input.prompt, options.maxTokens);
      this.#sequence ??= this.#model.sequence(room);
      for await (const event of generate(this.#model, this.#sequence, input, options)) {
        if (event.type === 'text-delta') answer += event.text;
        else this.#turns.push({ role: 'assistant', content: answer, images: [] });
        yield event;
      }
    } finally {
      this.#busy = false;
      this.#settle(before, answer);
    }
  }

  /** Forgets everything. */
  clear(): void {
    assert(!this.#busy, 'conversation cleared during an answer');
    this.#turns = [];
    this.#sequence?.dispose();
    this.#sequence = undefined;
  }

  dispose(): void {
    this.#sequence?.dispose();
    this.#sequence = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** After an answer that did not finish: keeps its beginning, or drops its question. */
  #settle(before: Turn[], answer: string): void {
    if (this.#turns.at(-1)?.role !== 'user') return;
    if (answer === '') this.#turns = before;
    else this.#turns.push({ role: 'assistant', content: answer, images: [] });
  }
}
