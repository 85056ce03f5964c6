/** @file The text that a conversation is trained as. For all templates but the oldest it is the text that is asked with. */

import { type Message, renderSegments, type Segment, type Template, type Tokenizer } from '../processor/index.ts';

/**
 * The prompt of a closed conversation in segments, those trained marked.
 * @throws LlavaError unless messages alternate, beginning with a human one
 */
export function trainingSegments(template: Template, messages: readonly Message[]): Segment[] {
  const segments = renderSegments(template, messages);
  if (template.answer[1] === '###') return headedSegments(template, messages);
  return template.framing.length > 0 ? trainHeaders(segments, template.open) : segments;
}

/** Moves what asks for an answer into the answer's segment. */
function trainHeaders(segments: readonly Segment[], open: string): Segment[] {
  return segments.map(({ text, trained }, i) => {
    if (trained) return { text: open + text, trained };
    return { text: segments[i + 1]?.trained ? text.slice(0, -open.length) : text, trained };
  });
}

/** Ids of the template's framing tokens; text that is several tokens is none. */
export function framingIds({ framing }: Template, tokenizer: Tokenizer): ReadonlySet<number> {
  const ids = framing.map(text => tokenizer.encode(text, { addBos: false }));
  return new Set(ids.filter(({ length }) => length === 1).flat());
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
