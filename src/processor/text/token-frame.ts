/**
 * @file The post-processors of tokenizer.json, reduced to what they do to one text: ids before it and after it.
 */

import { LlavaError } from '../../core/index.ts';
import { asCount, byType, type JsonFields } from './json-fields.ts';
import { type Frame, NO_FRAME } from './text-tokenizer.ts';

const READERS: Readonly<Record<string, (fields: JsonFields) => Frame>> = {
  ByteLevel: () => NO_FRAME,
  TemplateProcessing: readTemplate,
  RobertaProcessing: readClsSep,
  BertProcessing: readClsSep,
  Sequence: fields =>
    fields
      .objects('processors')
      .map(readFrame)
      .reduce(
        (inner, outer) => ({
          prefix: [...outer.prefix, ...inner.prefix],
          suffix: [...inner.suffix, ...outer.suffix],
        }),
        NO_FRAME,
      ),
};

/** @throws LlavaError for a post-processor of an unknown type. */
export function readFrame(fields: JsonFields): Frame {
  return byType(fields, 'post-processor', READERS)(fields);
}

/** `single`: a list of `{"SpecialToken": {"id": name}}` around one `{"Sequence": …}`. */
function readTemplate(fields: JsonFields): Frame {
  const [prefix, suffix]: [number[], number[]] = [[], []];
  const special = fields.optionalObject('special_tokens');
  let side = prefix;
  for (const item of fields.objects('single')) {
    if (item.has('Sequence')) {
      side = suffix;
      continue;
    }
    const name = item.object('SpecialToken').string('id');
    if (!special?.has(name)) throw new LlavaError(`${fields.where}.special_tokens: expected ${name}, got none`);
    side.push(
      ...special
        .object(name)
        .list('ids')
        .map(id => asCount(`${fields.where}.special_tokens`, id)),
    );
  }
  return { prefix, suffix };
}

/** `cls` and `sep`: pairs of token and id. */
function readClsSep(fields: JsonFields): Frame {
  const id = (key: string): number => asCount(`${fields.where}.${key}[1]`, fields.list(key)[1]);
  return { prefix: [id('cls')], suffix: [id('sep')] };
}
