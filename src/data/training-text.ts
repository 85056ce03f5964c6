/** @file The text that a conversation is trained as. For all templates but the oldest it is the text that is asked with. */

import { type Message, renderSegments, type Segment, type Template } from '../processor/index.ts';

/**
 * The prompt of a closed conversation in segments, those trained marked.
 * @throws LlavaError unless messages alternate, beginning with a human one
 */
export function trainingSegments(template: Template, messages: readonly Message[]): Segment[] {
  const segments = renderSegments(template, messages);
  return template.answer[1] === '###' ? headedSegments(template, messages) : segments;
}

/**
 * Templates of style SINGLE (v0): trained with a space after the `###`, a line a turn and no example conversation; the
 * `###` of human turns and the last are targets, so that the model learns to end its turn (train.py, `preprocess`).
 */
function headedSegments({ system }: Template, messages: readonly Message[]): Segment[] {
  const turns = messages.flatMap(({ from, value }): Segment[] =>
    from === 'human'
      ? [
          { text: '###', trained: true },
          { text: ` Human: ${value}\n`, trained: false },
        ]
      : [{ text: `### Assistant: ${value}\n`, trained: true }],
  );
  return [{ text: `${system}\n\n`, trained: false }, ...turns, { text: '### ', trained: true }];
}
