/** @file The tokenizer's part of GGUF metadata, read and written. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type GgufVocabulary, loadTokenizer, type Tokenizer, tokenizerFromGguf } from '../../processor/index.ts';
import { type GgufValue, type MetadataFields, openGguf } from '../../weights/index.ts';

/** In a folder that was made from a GGUF file: its metadata without tensors, in place of the other tokenizer files. */
export const VOCABULARY_FILE = 'tokenizer.gguf';

/** Jinja text of the conversation template. */
export const CHAT_TEMPLATE_KEY = 'tokenizer.chat_template';
/** A second token that ends an answer. */
export const EOT_KEY = 'tokenizer.ggml.eot_token_id';
/** Key of our own: the name of the conversation template that a model was trained with. */
export const TEMPLATE_KEY = 'llava.conversation_template';

/** Key of our own: false where a text after a special token begins without a space. */
const PREFIX_KEY = 'llava.prefix_after_special';

const PREFIX = 'tokenizer.ggml.';

/** Metadata key of each field that is a number or a truth value. */
const SCALARS = {
  bosId: 'bos_token_id',
  eosId: 'eos_token_id',
  unkId: 'unknown_token_id',
  padId: 'padding_token_id',
  addBos: 'add_bos_token',
  addEos: 'add_eos_token',
  addSpacePrefix: 'add_space_prefix',
  removeExtraWhitespaces: 'remove_extra_whitespaces',
} as const;

/** The tokenizer of a model's folder. Throws {@link LlavaError} that names the file at fault. */
export function folderTokenizer(folder: string): Tokenizer {
  const file = join(folder, VOCABULARY_FILE);
  return existsSync(file) ? tokenizerFromGguf(vocabularyOf(openGguf(file).fields)) : loadTokenizer(folder);
}

/** Throws LlavaError when a key is missing or of another type. */
export function vocabularyOf(fields: MetadataFields): GgufVocabulary {
  const id = (key: string) => (fields.has(PREFIX + key) ? fields.count(PREFIX + key) : undefined);
  const flag = (key: string) => fields.optionalBoolean(PREFIX + key);
  return {
    where: fields.where,
    model: fields.string(`${PREFIX}model`),
    pre: fields.optionalString(`${PREFIX}pre`),
    tokens: fields.strings(`${PREFIX}tokens`),
    scores: fields.numbers(`${PREFIX}scores`),
    types: fields.numbers(`${PREFIX}token_type`),
    merges: fields.has(`${PREFIX}merges`) ? fields.strings(`${PREFIX}merges`) : undefined,
    bosId: id(SCALARS.bosId),
    eosId: id(SCALARS.eosId),
    unkId: id(SCALARS.unkId),
    padId: id(SCALARS.padId),
    addBos: flag(SCALARS.addBos),
    addEos: flag(SCALARS.addEos),
    addSpacePrefix: flag(SCALARS.addSpacePrefix),
    removeExtraWhitespaces: flag(SCALARS.removeExtraWhitespaces),
    prefixAfterSpecial: fields.optionalBoolean(PREFIX_KEY),
  };
}

/** The metadata that {@link vocabularyOf} reads. */
export function vocabularyMetadata(vocabulary: GgufVocabulary): [string, GgufValue][] {
  const { model, pre, tokens, scores, types, merges } = vocabulary;
  const scalars = Object.entries(SCALARS).flatMap(([field, key]): [string, GgufValue][] => {
    const value = vocabulary[field as keyof typeof SCALARS];
    return value === undefined ? [] : [[PREFIX + key, { type: typeof value === 'boolean' ? 'bool' : 'u32', value }]];
  });
  return [
    [`${PREFIX}model`, { type: 'string', value: model }],
    ...(pre === undefined ? [] : [[`${PREFIX}pre`, { type: 'string', value: pre }] as [string, GgufValue]]),
    [`${PREFIX}tokens`, { type: 'array', items: 'string', values: tokens }],
    ...optionalList('scores', 'f32', scores && Float32Array.from(scores)),
    ...optionalList('token_type', 'i32', types && Int32Array.from(types)),
    ...(merges ? [[`${PREFIX}merges`, { type: 'array', items: 'string', values: merges }] as [string, GgufValue]] : []),
    ...scalars,
    ...(vocabulary.prefixAfterSpecial === false
      ? [[PREFIX_KEY, { type: 'bool', value: false }] as [string, GgufValue]]
      : []),
  ];
}

function optionalList(
  key: string,
  items: 'f32' | 'i32',
  values: Float32Array | Int32Array | undefined,
): [string, GgufValue][] {
  return values ? [[PREFIX + key, { type: 'array', items, values }]] : [];
}
