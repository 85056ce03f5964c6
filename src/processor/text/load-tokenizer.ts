/**
 * @file Loads the tokenizer of a model folder from the files that `transformers` writes.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { asCount, JsonFields } from './json-fields.ts';
import { optionalFields, parseJson, readBytes } from './model-files.ts';
import type { TokenRoles } from './text-tokenizer.ts';
import type { AddedToken, Tokenizer } from './tokenizer.ts';
import { readAddedToken, tokenizerFromJson } from './tokenizer-json.ts';
import { llama2cTokenizer, readLlama2cPieces, tokenizerFromModel } from './tokenizer-model.ts';

/** How to load. */
export interface LoadTokenizerOptions {
  /** File to take where a folder has both. Default `tokenizer.json`, as `transformers` does. */
  readonly prefer?: 'tokenizer.json' | 'tokenizer.model';
}

const FILES = ['tokenizer.json', 'tokenizer.model', 'tokenizer.bin'] as const;

/**
 * Loads tokenizer.json, tokenizer.model or llama2.c's tokenizer.bin of `folder`, with what tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json say of it.
 * @throws LlavaError when there is none, or one of the files is broken.
 */
export function loadTokenizer(folder: string, options: LoadTokenizerOptions = {}): Tokenizer {
  const order = options.prefer ? [options.prefer, ...FILES] : FILES;
  const file = order.find(name => existsSync(join(folder, name)));
  if (!file) throw new LlavaError(`${folder}: expected a tokenizer (${FILES.join(' or ')}), got none`);
  const where = join(folder, file);
  const config = readConfig(folder);
  if (file === 'tokenizer.bin') return llama2cTokenizer(readLlama2cPieces(readBytes(where), where));
  const { roles, addedTokens, addBos, addEos, legacy, isLlama } = config;
  if (file === 'tokenizer.json') {
    const frame =
      isLlama && (addBos ?? addEos) !== undefined ? { bos: addBos ?? true, eos: addEos ?? false } : undefined;
    const json = parseJson(where);
    return tokenizerFromJson(json, { where, roles, addedTokens, ...(frame ? { frame } : {}) });
  }
  const flags = { ...(addBos === undefined ? {} : { addBos }), ...(addEos === undefined ? {} : { addEos }), legacy };
  return tokenizerFromModel(readBytes(where), { where, roles, addedTokens, ...flags });
}

interface TokenizerConfig {
  readonly roles: TokenRoles;
  readonly addedTokens: readonly AddedToken[];
  readonly addBos: boolean | undefined;
  readonly addEos: boolean | undefined;
  readonly legacy: boolean;
  /** Its class applies add_bos_token and add_eos_token to tokenizer.json too. */
  readonly isLlama: boolean;
}

function readConfig(folder: string): TokenizerConfig {
  const [config, map, added] = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'].map(name =>
    optionalFields(folder, name),
  ) as [JsonFields | undefined, JsonFields | undefined, JsonFields | undefined];
  const role = (key: string): string | undefined => tokenText(config, key) ?? tokenText(map, key);
  const roles = { bos: role('bos_token'), eos: role('eos_token'), pad: role('pad_token'), unk: role('unk_token') };
  const special = new Set([...Object.values(roles), ...extraSpecial(config), ...extraSpecial(map)]);
  const flag = (key: string): boolean | undefined => (config?.has(key) ? config.boolean(key, true) : undefined);
  return {
    roles: Object.fromEntries(Object.entries(roles).filter(([, token]) => token !== undefined)),
    addedTokens: readAddedTokens(config, added).map(token =>
      special.has(token.content) ? { ...token, special: true, normalized: false } : token,
    ),
    addBos: flag('add_bos_token'),
    addEos: flag('add_eos_token'),
    legacy: flag('legacy') ?? true,
    isLlama: /^(Code)?Llama/.test(config?.optionalString('tokenizer_class') ?? ''),
  };
}

/** A token is given as its text, or as an object with its text as `content`. */
function tokenText(fields: JsonFields | undefined, key: string): string | undefined {
  if (!fields?.has(key)) return undefined;
  return typeof fields.raw(key) === 'string' ? fields.string(key) : fields.object(key).string('content');
}

function extraSpecial(fields: JsonFields | undefined): string[] {
  const tokens = fields?.list('additional_special_tokens') ?? [];
  return tokens.map((token, i) =>
    typeof token === 'string'
      ? token
      : new JsonFields(`${fields!.where}.additional_special_tokens[${i}]`, token).string('content'),
  );
}

/** `added_tokens_decoder` (id → token) of the config, then added_tokens.json (token → id) for tokens not in it. */
function readAddedTokens(config: JsonFields | undefined, added: JsonFields | undefined): AddedToken[] {
  const decoder = config?.optionalObject('added_tokens_decoder');
  const tokens = (decoder?.keys() ?? []).map(id =>
    readAddedToken(decoder!.object(id), asCount(`${decoder!.where}: id`, Number(id))),
  );
  const known = new Set(tokens.flatMap(token => [token.id, token.content]));
  const flags = { special: false, lstrip: false, rstrip: false, singleWord: false, normalized: true };
  for (const content of added?.keys() ?? []) {
    const id = added!.count(content);
    if (!known.has(id) && !known.has(content)) tokens.push({ id, content, ...flags });
  }
  return tokens;
}
