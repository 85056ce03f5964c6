/**
 * @file Templates in Jinja, as checkpoints bring them. How one wants its messages, as lists of parts or as plain text, and
 * whether it takes a system text, is found out by asking it something.
 */

import { LlavaError } from '../../core/index.ts';
import { Jinja } from './jinja.ts';
import { IMAGE_MARK } from './templates.ts';

interface PlainMessage {
  readonly role: 'system' | 'user' | 'assistant';
  /** With its own `<image>` marks, if any. */
  readonly text: string;
  /** Images that no mark in the text places. */
  readonly imageCount: number;
}

/** A message's text and images. */
export type JinjaMessage = PlainMessage & { readonly role: 'user' | 'assistant' };

/** Tokens that a template may name, such as `bos_token`. */
export type TokenNames = Readonly<Record<string, string>>;

/** A message as `transformers` gives it to a template. */
interface TemplateMessage {
  readonly role: string;
  readonly content: string | readonly { readonly type: string; readonly text?: string }[];
}

/** How a template wants the content of messages: a list of parts, or text with `<image>` marks. */
type ContentForm = 'parts' | 'text';

const QUESTION = 'PROBE of a question';
const SYSTEM = 'PROBE of a system text';

/** Writes prompts with a checkpoint's own template. */
export class JinjaTemplate {
  /** Name of its file. */
  readonly name: string;
  readonly source: string;
  /** None: the end token alone ends an answer. */
  readonly stop: readonly string[] = [];
  readonly #jinja: Jinja;
  readonly #tokens: TokenNames;
  readonly #form: ContentForm;
  /** Undefined where it takes no system text. */
  readonly #systemForm: ContentForm | undefined;

  /**
   * @param where the template's file, for errors
   * @throws LlavaError when it cannot be parsed, or does not write what the user says
   */
  constructor(source: string, { name, where, tokens }: { name: string; where: string; tokens: TokenNames }) {
    this.name = name;
    this.source = source;
    this.#tokens = tokens;
    this.#jinja = new Jinja(source, where);
    const question = { role: 'user', text: QUESTION, imageCount: 0 } as const;
    this.#form = this.#writes([formed(question, 'parts')]) ? 'parts' : 'text';
    const asked = formed(question, this.#form);
    if (!this.#writes([asked])) {
      const prompt = JSON.stringify(this.#render([asked]));
      throw new LlavaError(
        `${where}: expected a chat template that writes the user's text, got one that makes ${prompt}`,
      );
    }
    const forms = [this.#form, 'text'] as const;
    this.#systemForm = forms.find(form => this.#writes([formed(systemMessage(SYSTEM), form), asked]));
  }

  /**
   * The prompt of a conversation; it asks for an answer when the last message is the user's.
   * @param system instead of what the template says of itself; where it takes no system text, the first message begins with
   *   it, and '' changes nothing
   */
  render(messages: readonly JinjaMessage[], system?: string): string {
    const turns = messages.map(message => formed(message, this.#form));
    if (system === undefined) return this.#render(turns);
    if (this.#systemForm) return this.#render([formed(systemMessage(system), this.#systemForm), ...turns]);
    const [first, ...rest] = messages;
    if (system === '' || !first) return this.#render(turns);
    const begun = { ...first, text: `${system}\n\n${first.text}` };
    return this.#render([begun, ...rest].map(message => formed(message, this.#form)));
  }

  #render(messages: readonly TemplateMessage[]): string {
    const open = messages.at(-1)?.role === 'user';
    return this.#jinja.render({ ...this.#tokens, messages, add_generation_prompt: open });
  }

  /** Whether all texts of `messages` are written as they stand, not as lists of parts. */
  #writes(messages: readonly TemplateMessage[]): boolean {
    try {
      const prompt = this.#render(messages);
      return messages.every(message => prompt.includes(textOf(message))) && !/["']type["']/.test(prompt);
    } catch (error) {
      if (error instanceof LlavaError) return false;
      throw error;
    }
  }
}

function systemMessage(text: string): PlainMessage {
  return { role: 'system', text, imageCount: 0 };
}

function formed({ role, text, imageCount }: PlainMessage, form: ContentForm): TemplateMessage {
  if (form === 'text') return { role, content: `${IMAGE_MARK}\n`.repeat(imageCount) + text };
  const images = Array.from({ length: imageCount }, () => ({ type: 'image' }));
  return { role, content: [...images, { type: 'text', text }] };
}

function textOf({ content }: TemplateMessage): string {
  return typeof content === 'string' ? content : content.map(({ text = '' }) => text).join('');
}
