/**
 * @file What stands beside the weights of a model in GGUF form, as the files of a folder: its metadata under the names of
 * Hugging Face's. The vocabulary stays GGUF, a file without tensors, which gives the same tokenizer again.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openGgufLanguage, openGgufVision, writeGguf } from '../../weights/index.ts';
import { endIds, type GgufPair, modelName, pairConfig } from './open-pair.ts';
import { CHAT_TEMPLATE_KEY, TEMPLATE_KEY, VOCABULARY_FILE } from './vocabulary.ts';

/** Writes config.json, the vocabulary and, where there are any, chat template and image settings into `folder`. */
export async function writeGgufCompanions(pair: GgufPair, folder: string): Promise<void> {
  const text = openGgufLanguage(pair.language);
  const vision = pair.vision === undefined ? undefined : openGgufVision(pair.vision);
  const template = (vision ?? text).fields.optionalString(TEMPLATE_KEY);
  const eosIds = endIds(text);
  const write = (name: string, content: string): Promise<void> => writeFile(join(folder, name), content);
  const vocabulary = Array.from(text.metadata).filter(([key]) => /^(general|tokenizer|llava)\./.test(key));
  await writeGguf(join(folder, VOCABULARY_FILE), new Map(vocabulary), []);
  const chatTemplate = text.fields.optionalString(CHAT_TEMPLATE_KEY);
  if (chatTemplate !== undefined) await write('chat_template.jinja', chatTemplate);
  if (vision) await write('preprocessor_config.json', formatJson(vision.imageSettings));
  const config = {
    _name_or_path: modelName(text),
    ...pairConfig(text, vision),
    ...(eosIds.length > 0 && { eos_token_id: eosIds }),
    ...(template !== undefined && { conversation_template: template }),
  };
  await write('config.json', formatJson(config));
}

const formatJson = (json: object): string => `${JSON.stringify(json, null, 2)}\n`;
