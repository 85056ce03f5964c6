/** @file Messages to prompts: where images stand in the text, and the template's own strings around it. */

import { LlavaError } from '../core/index.ts';
import type { ChatMessage, Processor } from './processor.ts';
import { IMAGE_MARK, JinjaTemplate, renderPrompt } from './text/index.ts';

/** A message, of whose images only the number matters. */
type Message = Omit<ChatMessage, 'images'> & { readonly images?: readonly unknown[] };

/**
 * The prompt that asks for an answer to the last message.
 * @param options.system instead of the template's system text
 * @throws LlavaError unless each message has as many `<image>` marks as images, or none
 */
export function renderMessages(
  { template, imageMarkers }: Pick<Processor, 'template' | 'imageMarkers'>,
  messages: readonly Message[],
  options: { readonly system?: string } = {},
): string {
  if (template instanceof JinjaTemplate) {
    const turns = messages.map(({ role, content, images = [] }) => ({
      role,
      text: content,
      imageCount: unplacedImages(content, images.length),
    }));
    return template.render(turns, options.system);
  }
  const turns = messages.map(({ role, content, images = [] }) => {
    const value = markImages(content, images.length, template.imagesLast);
    return {
      from: role === 'user' ? ('human' as const) : ('gpt' as const),
      value: imageMarkers ? wrapped(value) : value,
    };
  });
  return renderPrompt(template, turns, options);
}

/**
 * `content` with one mark an image: where it has none, each on a line of its own in front, as LLaVA was trained, or with
 * `last` after the text.
 */
export function markImages(content: string, imageCount: number, last = false): string {
  const missing = unplacedImages(content, imageCount);
  return last ? content + `\n${IMAGE_MARK}`.repeat(missing) : `${IMAGE_MARK}\n`.repeat(missing) + content;
}

/** How many images no mark in `content` places: all or none. */
function unplacedImages(content: string, imageCount: number): number {
  const marks = content.split(IMAGE_MARK).length - 1;
  if (marks === imageCount) return 0;
  if (marks === 0) return imageCount;
  throw new LlavaError(
    `prompt: expected as many ${IMAGE_MARK} marks as images or none, got ${marks} marks and ${imageCount} images`,
  );
}

/** `<im_start>` and `<im_end>` around each mark, where they are not yet (`mm_use_im_start_end`). */
function wrapped(text: string): string {
  return text.replace(/(?<!<im_start>)<image>(?!<im_end>)/g, '<im_start><image><im_end>');
}
