/** @file `llava chat`: a conversation in the terminal. Lines that begin with / are commands. */

import { createInterface, type Interface } from 'node:readline';
import type { Command } from 'commander';
import { AbortedError, LlavaError, nearestName, throwIfAborted } from '../../core/index.ts';
import type { AskOptions, Conversation } from '../../engine/index.ts';
import type { RgbImage } from '../../processor/index.ts';
import { type Io, orAborted } from './commands.ts';
import { openImage } from './image-file.ts';
import { loadLlava } from './model-name.ts';
import {
  addGenerationOptions,
  addModelOptions,
  collect,
  type GenerationValues,
  generationOptions,
  loadOptions,
  type ModelValues,
} from './options.ts';

interface ChatValues extends ModelValues, GenerationValues {
  readonly image?: readonly string[];
  readonly system?: string;
}

const HELP = `/image FILE  add an image to the next question
/clear       forget the conversation
/help        show this
/exit        leave (also Ctrl-D)
Ctrl-C stops an answer; twice leaves.`;

export function define(command: Command, io: Io): void {
  command.option('--image <file>', 'image of the first question; may be given several times', collect);
  addModelOptions(command);
  addGenerationOptions(command);
  command.option('--system <text>', "system text instead of the template's");
  command.action((values: ChatValues) => chat(values, io));
}

async function chat(values: ChatValues, io: Io): Promise<void> {
  await using model = await orAborted(loadLlava(values.model, loadOptions(values, io.signal), io), io.signal);
  using conversation = model.chat(values.system === undefined ? {} : { system: values.system });
  const session = new ChatSession(conversation, values, io);
  for (const file of values.image ?? []) await session.addImage(file);
  if (io.stdout.isTTY) io.stdout.write(`${model.name}. /help lists the commands.\n`);
  await session.run();
  throwIfAborted(io.signal, 'chat');
}

/** Reads lines and answers them until the user leaves. */
class ChatSession {
  readonly #conversation: Conversation;
  readonly #values: ChatValues;
  readonly #io: Io;
  #images: RgbImage[] = [];
  #answering: AbortController | undefined;
  /** Ctrl-C was pressed since the last line. */
  #interrupted = false;

  constructor(conversation: Conversation, values: ChatValues, io: Io) {
    this.#conversation = conversation;
    this.#values = values;
    this.#io = io;
  }

  async run(): Promise<void> {
    const { stdin: input, stdout: output } = this.#io;
    const lines = createInterface({ input, output, terminal: output.isTTY === true, prompt: '> ' });
    lines.on('SIGINT', () => this.#interrupt(lines));
    this.#io.signal.addEventListener('abort', () => {
      this.#answering?.abort();
      lines.close();
    });
    let closed = false;
    lines.once('close', () => {
      closed = true;
    });
    if (output.isTTY) lines.prompt();
    for await (const line of lines) {
      this.#interrupted = false;
      if (line.trim() === '/exit') break;
      await this.#handle(line.trim());
      if (output.isTTY && !closed) lines.prompt();
    }
    lines.close();
  }

  async addImage(file: string): Promise<void> {
    if (file === '-')
      throw new LlavaError('image: expected the name of a file, got - (stdin, where the questions come)');
    this.#images.push(await openImage(file, this.#values, this.#io));
  }

  /** A mistake in one line does not end the conversation. */
  async #handle(line: string): Promise<void> {
    try {
      if (line.startsWith('/')) await this.#command(line);
      else if (line !== '') await this.#answer(line);
    } catch (error) {
      if (error instanceof AbortedError) this.#io.stdout.write('\n');
      else if (error instanceof LlavaError) this.#io.stderr.write(`llava: ${error.message}\n`);
      else throw error;
    }
  }

  async #command(line: string): Promise<void> {
    const [, name = '', argument = ''] = /^\/(\S*)\s*(.*)$/.exec(line)!;
    if (name === 'image' && argument !== '') return this.addImage(argument);
    if (name === 'clear') return this.#clear();
    if (name === 'help') return void this.#io.stdout.write(`${HELP}\n`);
    if (name === 'image') throw new LlavaError('/image: expected the name of a file, got none');
    const nearest = nearestName(name, ['image', 'clear', 'help', 'exit']);
    throw new LlavaError(`chat: expected a known command, got /${name} (did you mean /${nearest}?)`);
  }

  #clear(): void {
    this.#conversation.clear();
    this.#images = [];
  }

  async #answer(question: string): Promise<void> {
    this.#answering = new AbortController();
    const { signal } = this.#answering;
    const options: AskOptions = { ...generationOptions(this.#values), images: this.#images, signal };
    try {
      for await (const text of this.#conversation.stream(question, options)) {
        this.#images = []; // from the first word on they belong to the conversation
        this.#io.stdout.write(text);
      }
      this.#images = [];
      this.#io.stdout.write('\n');
    } finally {
      this.#answering = undefined;
    }
  }

  /** Stops the answer under way; without one warns; the second time leaves. */
  #interrupt(lines: Interface): void {
    if (this.#interrupted) lines.close();
    else if (this.#answering) this.#answering.abort();
    else {
      this.#io.stdout.write('\n(Ctrl-C again or /exit leaves)\n');
      lines.prompt();
    }
    this.#interrupted = true;
  }
}
