/**
 * @file The files of a tokenizer, with added tokens put in or taken out: tokenizer.json, tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json, as `transformers` writes and reads them. A SentencePiece model
 * (tokenizer.model) never changes, since added tokens lie outside it.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';

/** Files that a tokenizer may consist of. */
export const TOKENIZER_FILES: readonly string[] = [
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer.bin',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
];

/** What to change. */
export interface TokenChange {
  /** Special tokens to add. */
  readonly add: readonly { readonly id: number; readonly content: string }[];
  /** Added tokens to take out. */
  readonly remove: readonly string[];
  /** The new pad token; absent: it stays. */
  readonly padToken?: string | undefined;
  /** Keys of tokenizer_config.json to set. */
  readonly config?: Json;
}

type Json = Readonly<Record<string, unknown>>;

/** Above this, `model_max_length` stands for "no limit", in digits that JavaScript cannot write. */
const NO_LIMIT = 1e15;

/** The JSON files that differ after the change, by name. */
export function changedTokenizerFiles(folder: string, change: TokenChange): Map<string, Json> {
  const changed = new Map<string, Json>();
  const edit = (name: string, apply: (json: Json) => Json, ifMissing?: Json): void => {
    const path = join(folder, name);
    const json = existsSync(path) ? readObject(path) : ifMissing;
    if (json) changed.set(name, apply(json));
  };
  const isListed = !existsSync(join(folder, 'tokenizer.json')) && change.add.length > 0;
  edit('tokenizer.json', json => changeTokenizer(json, change));
  edit('tokenizer_config.json', json => changeConfig(json, change), {});
  edit('special_tokens_map.json', json => withPad(withoutTokens(json, change), change));
  edit('added_tokens.json', json => changeAdded(json, change), isListed ? {} : undefined);
  return changed;
}

function changeTokenizer(json: Json, { add, remove }: TokenChange): Json {
  const old = (json.added_tokens ?? []) as readonly { readonly content: string }[];
  const kept = old.filter(({ content }) => !remove.includes(content));
  return { ...json, added_tokens: [...kept, ...add.map(token => ({ id: token.id, ...describeToken(token) }))] };
}

function changeConfig(json: Json, change: TokenChange): Json {
  const old = Object.entries((json.added_tokens_decoder ?? {}) as Record<string, { readonly content: string }>);
  const kept = old.filter(([, { content }]) => !change.remove.includes(content));
  const added = change.add.map(token => [String(token.id), describeToken(token)] as const);
  const decoder = Object.fromEntries([...kept, ...added]);
  const { added_tokens_decoder: _, model_max_length: limit, ...rest } = withoutTokens(json, change);
  return {
    ...rest,
    ...(Object.keys(decoder).length > 0 && { added_tokens_decoder: decoder }),
    ...(typeof limit === 'number' && limit < NO_LIMIT && { model_max_length: limit }),
    ...withPad({}, change),
    ...change.config,
  };
}

function changeAdded(json: Json, { add, remove }: TokenChange): Json {
  const kept = Object.entries(json).filter(([content]) => !remove.includes(content));
  return Object.fromEntries([...kept, ...add.map(({ id, content }) => [content, id] as const)]);
}

const describeToken = ({ content }: { readonly content: string }): Json => ({
  content,
  lstrip: false,
  normalized: false,
  rstrip: false,
  single_word: false,
  special: true,
});

const withPad = (json: Json, { padToken }: TokenChange): Json => ({
  ...json,
  ...(padToken !== undefined && { pad_token: padToken }),
});

/** Without what names a removed token: roles such as `image_token`, and entries of lists of extra tokens. */
function withoutTokens(json: Json, { remove }: TokenChange): Json {
  const isGone = (value: unknown): boolean => {
    const content = typeof value === 'object' && value !== null ? (value as Json).content : value;
    return remove.includes(content as string);
  };
  const kept = Object.entries(json).filter(([, value]) => !isGone(value));
  const lists = kept.map(([key, value]) => [key, Array.isArray(value) ? value.filter(item => !isGone(item)) : value]);
  return Object.fromEntries(lists);
}

function readObject(path: string): Json {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new LlavaError(`${path}: expected JSON, got ${(error as Error).message}`);
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Json;
  throw new LlavaError(`${path}: expected a JSON object, got ${JSON.stringify(json).slice(0, 80)}`);
}
