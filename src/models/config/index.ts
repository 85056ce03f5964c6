/**
 * @file Model configurations. The snake_case `config.json` of a checkpoint is parsed once, here, into frozen typed
 * objects; keys this library does not know are kept in `extra`, since published files carry many.
 */

import { Fields, type JsonObject } from '../fields.ts';
import { isLanguageType, LANGUAGE_TYPES, type LlamaConfig, parseLanguageConfig } from './language.ts';
import { LLAVA_TYPES, type LlavaConfig, parseLlavaConfig } from './llava.ts';
import { isOriginalLlava, parseOriginalLlava } from './llava-original.ts';
import { type ClipConfig, parseClipConfig } from './vision.ts';

export {
  type AnyResolution,
  COMPAT_NAMES,
  type Compat,
  type PatchMerge,
} from './any-resolution.ts';
export * from './language.ts';
export * from './llava.ts';
export { isOriginalLlava, originalTower, parseOriginalLlava } from './llava-original.ts';
export * from './vision.ts';

/** Any model this library can build. */
export type ModelConfig = LlavaConfig | LlamaConfig | ClipConfig;

/** Whether a model is a language model alone. */
export function isLanguageConfig(config: ModelConfig): config is LlamaConfig {
  return config.modelType !== 'llava' && config.modelType !== 'clip';
}

/**
 * Parses a decoded `config.json`. Throws {@link LlavaError} on an unsupported type.
 * @param where names the file in errors
 * @param tower the configuration of the vision tower that an original LLaVA's file only names
 */
export function parseModelConfig(json: unknown, where: string, tower?: JsonObject): ModelConfig {
  if (isOriginalLlava(json)) return parseOriginalLlava(json, where, tower);
  const type = new Fields(json, where).choice('model_type', [...LLAVA_TYPES, 'clip', ...LANGUAGE_TYPES]);
  if (type === 'clip') return parseClipConfig(json, where);
  return isLanguageType(type) ? parseLanguageConfig(json, where) : parseLlavaConfig(json, where);
}
