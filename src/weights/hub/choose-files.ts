/** @file Which files of a repository a model needs: its settings and tokenizer, and its weights in one format only. */

import { LlavaError } from '../../core/index.ts';
import { listNames } from '../files.ts';
import { parseWeightIndex } from '../sharded.ts';

/** Names in a repository or a folder. */
type Names = Pick<ReadonlySet<string>, 'has' | 'keys'>;

/** Whole models, the preferred format first: one file, or shards that an index names. */
const WHOLE = [
  ['model.safetensors', 'model.safetensors.index.json'],
  ['pytorch_model.bin', 'pytorch_model.bin.index.json'],
] as const;
const ADAPTERS = ['adapter_model.safetensors', 'adapter_model.bin'] as const;
/** What LLaVA's training leaves beside an adapter, or instead of a model. */
const PARTS = ['non_lora_trainables.bin', 'mm_projector.bin'] as const;

const SETTINGS = /^[\w.-]+\.json$|^[\w.-]+\.model$|^(vocab|merges)\.txt$|^chat_template\.jinja$/;
/** An index of weights belongs to its weights; a log of training to nobody. */
const NO_SETTINGS = /\.index\.json$|^trainer_state\.json$|^\./;
const LOOKS_LIKE_WEIGHTS = /\.(safetensors|bin|pth?|ckpt|gguf|h5|msgpack|onnx)$/;

/** Settings that programs look for, there or not. */
export const LOOKED_FOR = [
  ...['config.json', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json'],
  ...['tokenizer.json', 'tokenizer_config.json', 'tokenizer.model', 'special_tokens_map.json', 'added_tokens.json'],
  ...['chat_template.json', 'chat_template.jinja', 'adapter_config.json'],
] as const;

/** Names of settings and tokenizer files. */
export function settingsFiles(names: Names): string[] {
  return [...names.keys()].filter(name => SETTINGS.test(name) && !NO_SETTINGS.test(name)).sort();
}

/** The index that must be read to know the shards; undefined when none is needed. */
export function indexFile(names: Names): string | undefined {
  const kind = WHOLE.find(([single, index]) => names.has(single) || names.has(index));
  return kind && !names.has(kind[0]) ? kind[1] : undefined;
}

/**
 * Names of the weights, less the index.
 * @param index the parsed {@link indexFile}
 * @throws LlavaError that names what is there instead, or the shards that are not
 */
export function weightFiles(names: Names, index: unknown, where: string): string[] {
  const indexName = indexFile(names);
  if (indexName !== undefined) return shardFiles(names, index, `${where}: ${indexName}`);
  const single = WHOLE.find(([name]) => names.has(name));
  if (single) return [single[0]];
  const adapter = ADAPTERS.find(name => names.has(name));
  const found = [...(adapter === undefined ? [] : [adapter]), ...PARTS.filter(name => names.has(name))];
  if (found.length > 0) return found;
  const others = [...names.keys()].filter(name => LOOKS_LIKE_WEIGHTS.test(name));
  const got = others.length === 0 ? 'no weights' : listNames(others.slice(0, 5));
  throw new LlavaError(`${where}: expected ${WHOLE.flat().join(', ')} or an adapter, got ${got}`);
}

function shardFiles(names: Names, index: unknown, where: string): string[] {
  const shards = [...new Set(parseWeightIndex(index, where).values())].sort();
  const missing = shards.filter(name => !names.has(name));
  if (missing.length === 0) return shards;
  throw new LlavaError(`${where}: expected the shards it names, got no ${listNames(missing)}`);
}
