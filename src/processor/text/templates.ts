/**
 * @file Conversations to prompts, by template. A prompt is rendered as segments, some of them trained, so that the
 * label mask of training is known by construction.
 */

import { LlavaError, nearestName } from '../../core/index.ts';
import { TEMPLATES, type Template, type TemplateName } from './template-table.ts';

/** One turn, in LLaVA's JSON form. */
export interface Message {
  readonly from: 'human' | 'gpt';
  /** Text; `<image>` marks the place of an image. */
  readonly value: string;
}

/** A stretch of a prompt. */
export interface Segment {
  readonly text: string;
  /** Its tokens are targets in training: an answer and what ends it. */
  readonly trained: boolean;
}

/** Overrides of a template. */
export interface RenderOptions {
  /** System text instead of the template's; '' for none. */
  readonly system?: string;
}

/** Mark of an image in text. */
export const IMAGE_MARK = '<image>';

/** @throws LlavaError naming the nearest known template. */
export function getTemplate(name: TemplateName | (string & {})): Template {
  const template = TEMPLATES.get(name);
  if (template) return template;
  throw new LlavaError(
    `template: expected a known name (did you mean ${nearestName(name, templateNames())}?), got ${name}`,
  );
}

/** Names of the built-in templates. */
export function templateNames(): string[] {
  return [...TEMPLATES.keys()];
}

/**
 * The prompt as text. When the last message is human the prompt is open: it ends by asking for an answer.
 * @throws LlavaError unless messages alternate, beginning with a human one.
 */
export function renderPrompt(template: Template, messages: readonly Message[], options: RenderOptions = {}): string {
  return renderSegments(template, messages, options)
    .map(segment => segment.text)
    .join('');
}

/**
 * The prompt in segments; joined, they are `renderPrompt`. A plain template renders a closed turn as stage 1 trains it:
 * the images of the human turn, then the caption.
 * @throws LlavaError unless messages alternate, beginning with a human one.
 */
export function renderSegments(
  template: Template,
  messages: readonly Message[],
  options: RenderOptions = {},
): Segment[] {
  checkTurns(messages);
  const system = options.system ?? template.system;
  const head = system === '' ? '' : around(template.head, trimmed(template, system));
  const first = template.start + (template.systemInTurn ? '' : head + openingTurns(template));
  const inTurn = template.systemInTurn ? head : '';
  const segments: Segment[] = [{ text: first, trained: false }];
  messages.forEach(({ from, value: written }, i) => {
    const value = trimmed(template, written);
    if (from === 'gpt') segments.push({ text: around(template.answer, value), trained: true });
    else if (template.plain && i + 1 < messages.length) segments.push({ text: marksOf(value), trained: false });
    else segments.push({ text: humanTurn(template, i === 0 ? inTurn + value : value) + template.open, trained: false });
    const gap = from === 'gpt' ? template.after + (i + 1 < messages.length ? template.between : '') : '';
    segments.push({ text: gap, trained: false });
  });
  return joinSegments(segments);
}

function trimmed({ trim }: Template, text: string): string {
  return trim ? text.trim() : text;
}

function openingTurns(template: Template): string {
  const [question, answer] = template.opening;
  if (question === undefined || answer === undefined) return '';
  return humanTurn(template, question) + template.open + around(template.answer, answer);
}

function humanTurn(template: Template, value: string): string {
  return around(template.human, value);
}

function around([before, after]: readonly [string, string], text: string): string {
  return before + text + after;
}

function marksOf(value: string): string {
  return IMAGE_MARK.repeat(value.split(IMAGE_MARK).length - 1);
}

function checkTurns(messages: readonly Message[]): void {
  messages.forEach(({ from }, i) => {
    const expected = i % 2 === 0 ? 'human' : 'gpt';
    if (from !== expected) throw new LlavaError(`conversation: expected turn ${i + 1} from ${expected}, got ${from}`);
  });
  if (messages.length === 0) throw new LlavaError('conversation: expected at least one turn, got none');
}

/** Drops empty segments and joins neighbours that are both trained or both not. */
function joinSegments(segments: readonly Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const { text, trained } of segments) {
    const last = joined.at(-1);
    if (text === '') continue;
    if (last?.trained === trained) joined[joined.length - 1] = { text: last.text + text, trained };
    else joined.push({ text, trained });
  }
  return joined;
}

/** How images are marked in the text that a model was trained on. */
export interface ImageMarkOptions {
  /** Wraps the mark as `<Image><image></Image>` (the `mmtag` templates). Default false. */
  readonly mmTag?: boolean;
  /** Wraps the mark as `<im_start><image><im_end>` (`mm_use_im_start_end`). Default false. */
  readonly imStartEnd?: boolean;
}

/**
 * Moves the mark of each turn that has one image to its front, on a line of its own, as training does (spec of
 * LLaVA's `preprocess_multimodal`). Turns with several images keep their order, as in LLaVA-NeXT.
 */
export function moveImageFirst(messages: readonly Message[], options: ImageMarkOptions = {}): Message[] {
  return messages.map(({ from, value }) => ({ from, value: wrapMarks(markFirst(value), options) }));
}

function markFirst(value: string): string {
  const parts = value.split(IMAGE_MARK);
  return parts.length === 2 ? `${IMAGE_MARK}\n${parts.join('').trim()}`.trim() : value;
}

function wrapMarks(value: string, { mmTag = false, imStartEnd = false }: ImageMarkOptions): string {
  const inner = imStartEnd ? `<im_start>${IMAGE_MARK}<im_end>` : IMAGE_MARK;
  return value.replaceAll(IMAGE_MARK, mmTag ? `<Image>${inner}</Image>` : inner);
}

/** The template that LLaVA's command line picks by the model's name: the first rule whose text the name contains. */
export function selectTemplate(modelName: string): Template {
  const rules = [
    ['llama-2', 'llava_llama_2'],
    ['mistral', 'mistral_instruct'],
    ['v1.6-34b', 'chatml_direct'],
    ['v1', 'llava_v1'],
    ['mpt', 'mpt'],
  ] as const;
  const rule = rules.find(([text]) => modelName.toLowerCase().includes(text));
  return getTemplate(rule?.[1] ?? 'llava_v0');
}
