/** @file The chat template that a checkpoint brings, found where `transformers` looks for it. */

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { JinjaTemplate, type TokenNames } from './jinja-template.ts';
import { JsonFields } from './json-fields.ts';
import { optionalFields, readBytes } from './model-files.ts';
import type { Tokenizer } from './tokenizer.ts';

const JSON_FILES = ['chat_template.json', 'processor_config.json', 'tokenizer_config.json'];

/**
 * The template of chat_template.jinja, else of one of the JSON files that have it as `chat_template`, in the first folder
 * that has any; undefined when there is none.
 * @throws LlavaError that names the file at fault
 */
export function checkpointTemplate(folders: readonly string[], tokenizer: Tokenizer): JinjaTemplate | undefined {
  for (const folder of folders) {
    const own = join(folder, 'chat_template.jinja');
    if (existsSync(own)) return templateFromFile(own, tokenizer);
    for (const name of JSON_FILES) {
      const fields = optionalFields(folder, name);
      if (!fields?.has('chat_template')) continue;
      return templateFromText(defaultTemplate(fields), { name, where: `${fields.where}: chat_template` }, tokenizer);
    }
  }
  return undefined;
}

/**
 * The template that is `source`.
 * @param where what errors call it
 */
export function templateFromText(
  source: string,
  { name, where }: { name: string; where: string },
  tokenizer: Tokenizer,
): JinjaTemplate {
  return new JinjaTemplate(source, { name, where, tokens: tokenNames(tokenizer) });
}

/** The template in a file of its own. Throws {@link LlavaError} that names the file. */
export function templateFromFile(file: string, tokenizer: Tokenizer): JinjaTemplate {
  const source = Buffer.from(readBytes(file)).toString();
  return templateFromText(source, { name: basename(file), where: file }, tokenizer);
}

/** The template, or of several with names the one called `default`: the others are for tools and retrieval. */
function defaultTemplate(fields: JsonFields): string {
  const raw = fields.raw('chat_template');
  if (typeof raw === 'string') return raw;
  const where = `${fields.where}.chat_template`;
  if (!Array.isArray(raw)) return new JsonFields(where, raw).string('default');
  const named = fields.objects('chat_template');
  const found = named.find(template => template.string('name') === 'default');
  if (found) return found.string('template');
  const names = named.map(template => template.string('name'));
  throw new LlavaError(`${where}: expected a template named default, got ${names.join(', ') || 'none'}`);
}

/** What templates call the tokenizer's special tokens. */
function tokenNames(tokenizer: Tokenizer): TokenNames {
  const { bosId, eosId, padId, unkId } = tokenizer;
  const ids = { bos_token: bosId, eos_token: eosId, pad_token: padId, unk_token: unkId };
  const names = Object.entries(ids).flatMap(([name, id]) => {
    const token = id === undefined ? undefined : tokenizer.idToToken(id);
    return token === undefined ? [] : [[name, token]];
  });
  return Object.fromEntries(names);
}
