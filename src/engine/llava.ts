/** @file The library's face: load a model, ask about an image, stream, converse. */

import { LlavaError, rejectUnknownKeys } from '../core/index.ts';
import { maxImageTokens } from '../models/index.ts';
import { type ChatMessage, markImages, tokenizePrompt } from '../processor/index.ts';
import { type Answer, collectAnswer, textOf } from './answer.ts';
import {
  type AskOptions,
  Conversation,
  type ConversationOptions,
  conversationInput,
  readTurn,
  splitAskOptions,
} from './conversation.ts';
import {
  checkGenerationOptions,
  type GenerationEvent,
  type GenerationInput,
  type GenerationOptions,
  generate,
  roomFor,
} from './generate.ts';
import { type SizedMessage, type TokenizedPrompt, type TokenizeOptions, tokenizeMessages } from './llava-processor.ts';
import { type LlavaModel, type LoadOptions, loadModel } from './model.ts';
import { type Prediction, type PredictionOptions, predictions } from './predictions.ts';

/** A loaded model. Answers may be made at the same time; each has a cache of its own. */
export class Llava implements AsyncDisposable, Disposable {
  readonly #model: LlavaModel;

  private constructor(model: LlavaModel) {
    this.#model = model;
  }

  /**
   * Loads a model.
   * @param name a folder, a GGUF file, or `org/name` or `org/name@revision`, which is downloaded into the cache of Hugging Face
   * @throws LlavaError that names the file at fault
   */
  static async load(name: string, options: LoadOptions = {}): Promise<Llava> {
    return new Llava(await loadModel(name, options));
  }

  /** The name it was published under, else its folder's. */
  get name(): string {
    return this.#model.name;
  }

  /** Positions that a prompt and its answer may take together. */
  get contextLength(): number {
    return this.#model.language.contextLength;
  }

  /** Positions that an image takes, at most where that depends on its size; 0 for a language model alone. */
  get tokensPerImage(): number {
    const { vision } = this.#model.processor;
    return vision ? maxImageTokens(vision.config) : 0;
  }

  /** Name of the conversation template. */
  get template(): string {
    return this.#model.processor.template.name;
  }

  /** The prompt of a question, or of messages, and its tokens: what an answer would begin with. */
  tokenize(content: string | readonly SizedMessage[], options: TokenizeOptions = {}): Promise<TokenizedPrompt> {
    return tokenizeMessages(this.#model.processor, content, options, this.#model.imageLimits);
  }

  /** The answer to one question about one image, several or none. Greedy unless `temperature` says otherwise. */
  async ask(question: string, options: AskOptions = {}): Promise<string> {
    return (await this.answer(question, options)).text;
  }

  /** The answer to one question with what it took. */
  answer(question: string, options: AskOptions = {}): Promise<Answer> {
    return collectAnswer(this.#question(question, options));
  }

  /** The answer to one question, piece by piece. */
  stream(question: string, options: AskOptions = {}): AsyncGenerator<string> {
    return textOf(this.#question(question, options));
  }

  /** The answer to the last of `messages`, as events. */
  async *generate(
    messages: readonly ChatMessage[],
    { system, ...options }: GenerationOptions & ConversationOptions = {},
  ): AsyncGenerator<GenerationEvent> {
    checkGenerationOptions(options);
    const turns = await Promise.all(messages.map(message => readTurn(this.#model, message)));
    const input = conversationInput(this.#model, turns, system === undefined ? {} : { system });
    yield* this.#run(input, options);
  }

  /** What follows `prompt`, taken as it is: no template, no trimming. Its `<image>` marks stand for `images`. */
  async *complete(prompt: string, askOptions: AskOptions = {}): AsyncGenerator<GenerationEvent> {
    const { images, options } = splitAskOptions(askOptions);
    const turn = await readTurn(this.#model, { role: 'user', content: prompt, images });
    const layouts = turn.images.map(image => image.layout);
    const tokens = tokenizePrompt(this.#model.processor, markImages(prompt, images.length), layouts);
    if (tokens.ids.length === 0) throw new LlavaError('prompt: expected at least one token, got an empty text');
    yield* this.#run({ prompt: tokens, images: turn.images, trim: false }, options);
  }

  /** Each token of a text, with the logits that stood before it: what perplexity is made of. */
  predictions(text: string, options: PredictionOptions = {}): AsyncGenerator<Prediction> {
    return predictions(this.#model, text, options);
  }

  /** A conversation that keeps its turns, images and cache. Dispose it before the model. */
  chat(options: ConversationOptions = {}): Conversation {
    rejectUnknownKeys('options', options, ['system']);
    return new Conversation(this.#model, options);
  }

  /** Frees the model. Answers under way must have ended. */
  dispose(): void {
    this.#model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  async *#question(content: string, askOptions: AskOptions): AsyncGenerator<GenerationEvent> {
    const { images, options } = splitAskOptions(askOptions);
    yield* this.generate([{ role: 'user', content, images }], options);
  }

  async *#run(input: GenerationInput, options: GenerationOptions): AsyncGenerator<GenerationEvent> {
    using sequence = this.#model.sequence(roomFor(this.#model, input.prompt, options.maxTokens));
    yield* generate(this.#model, sequence, input, options);
  }
}
