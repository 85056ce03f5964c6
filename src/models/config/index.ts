/**
 * @file Model configurations. The snake_case `config.json` of a checkpoint is parsed once, here, into frozen typed
 * objects; keys this library does not know are kept in `extra`, since published files carry many.
 */

import { LlavaError } from '../../core/index.ts';
import { Fields } from '../fields.ts';
import { type LlamaConfig, parseLlamaConfig } from './language.ts';
import { type LlavaConfig, parseLlavaConfig } from './llava.ts';
import { type ClipConfig, parseClipConfig } from './vision.ts';

export * from './language.ts';
export * from './llava.ts';
export * from './vision.ts';

/** Any model this library can build. */
export type ModelConfig = LlavaConfig | LlamaConfig | ClipConfig;

/** Parses a decoded `config.json`. `where` names the file in errors. Throws {@link LlavaError} on an unsupported type. */
export function parseModelConfig(json: unknown, where: string): ModelConfig {
  const fields = new Fields(json, where);
  const type = fields.string('model_type');
  if (type === 'llava') return parseLlavaConfig(json, where);
  if (type === 'llama') return parseLlamaConfig(json, where);
  if (type === 'clip') return parseClipConfig(json, where);
  throw new LlavaError(`${where}: expected model_type llava, llama or clip, got ${type}`);
}
