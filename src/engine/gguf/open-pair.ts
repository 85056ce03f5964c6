/**
 * @file A model in GGUF form: a file with the language model and its tokenizer, and for a LLaVA a second one with the vision
 * tower and projector, called mmproj. Together they say what a folder in Hugging Face's layout says.
 */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { type Compat, type JsonObject, type LlamaConfig, parseModelConfig, withCompat } from '../../models/index.ts';
import { templateFromText, tokenizerFromGguf } from '../../processor/index.ts';
import { type GgufLanguage, type GgufVision, openGgufLanguage, openGgufVision } from '../../weights/index.ts';
import { parseImageRule } from '../image-rule.ts';
import type { ModelFolder } from '../model-folder.ts';
import { CHAT_TEMPLATE_KEY, EOT_KEY, TEMPLATE_KEY, vocabularyOf } from './vocabulary.ts';

/** The files of a model. */
export interface GgufPair {
  readonly language: string;
  /** Absent for a language model alone. */
  readonly vision: string | undefined;
}

const isMmproj = (name: string): boolean => /mmproj/i.test(name);

/**
 * The GGUF files that `path` stands for, a file or a folder of one or two; undefined when it is neither.
 * @throws LlavaError when a folder holds more than a pair
 */
export function findGgufPair(path: string, mmproj?: string): GgufPair | undefined {
  const root = resolve(path);
  const vision = mmproj === undefined ? undefined : resolve(mmproj);
  if (/\.gguf$/i.test(root) && !isFolder(root)) return { language: root, vision };
  if (!isFolder(root) || existsSync(join(root, 'config.json'))) return refuseMmproj(root, mmproj);
  const names = readdirSync(root).filter(name => /\.gguf$/i.test(name));
  if (names.length === 0) return refuseMmproj(root, mmproj);
  const [languages, visions] = [names.filter(name => !isMmproj(name)), names.filter(isMmproj)];
  if (languages.length !== 1 || visions.length > 1) {
    throw new LlavaError(
      `${root}: expected one .gguf file, and at most one mmproj*.gguf, got ${names.sort().join(', ')}`,
    );
  }
  const beside = visions[0] === undefined ? undefined : join(root, visions[0]);
  return { language: join(root, languages[0]!), vision: vision ?? beside };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function refuseMmproj(root: string, mmproj: string | undefined): undefined {
  if (mmproj === undefined) return undefined;
  throw new LlavaError(`option mmproj: expected a language model in GGUF form beside ${mmproj}, got ${root}`);
}

/** Opens the files. Throws {@link LlavaError} that names the one at fault. */
export function openGgufPair(pair: GgufPair, compat?: Compat): ModelFolder {
  const text = openGgufLanguage(pair.language);
  const vision = pair.vision === undefined ? undefined : openGgufVision(pair.vision);
  return {
    folder: text.path,
    folders: [text.path],
    name: modelName(text),
    ...(vision ? llavaParts(text, vision, compat) : languageParts(text)),
    template: (vision ?? text).fields.optionalString(TEMPLATE_KEY),
    eosIds: endIds(text),
    quantization: undefined,
    tower: undefined,
    tokenizer: () => tokenizerFromGguf(vocabularyOf(text.fields)),
    chatTemplate: tokenizer => {
      const source = text.fields.optionalString(CHAT_TEMPLATE_KEY);
      const where = { name: CHAT_TEMPLATE_KEY, where: `${text.path}: ${CHAT_TEMPLATE_KEY}` };
      return source === undefined ? undefined : templateFromText(source, where, tokenizer);
    },
  };
}

type Parts = Pick<ModelFolder, 'config' | 'language' | 'image' | 'weights'>;

/** Tokens that end an answer. */
export function endIds({ fields }: GgufLanguage): number[] {
  const ids = ['tokenizer.ggml.eos_token_id', EOT_KEY].map(key => fields.optionalNumber(key));
  return ids.filter(id => id !== undefined);
}

/** What `config.json` says of such a model: the keys of Hugging Face, or with other files' LLaVAs of the original. */
export function pairConfig(text: GgufLanguage, vision: GgufVision | undefined): JsonObject {
  if (!vision) return text.config;
  if (vision.compat === 'original') return { ...text.config, ...vision.config, vision_config: vision.tower };
  const imageId = text.fields.strings('tokenizer.ggml.tokens').indexOf('<image>');
  return { ...vision.config, text_config: text.config, vision_config: vision.tower, image_token_index: imageId };
}

function languageParts(text: GgufLanguage): Parts {
  const config = parseModelConfig(pairConfig(text, undefined), text.path) as LlamaConfig;
  return { config, language: config, image: undefined, weights: text.entries };
}

function llavaParts(text: GgufLanguage, vision: GgufVision, compat: Compat | undefined): Parts {
  const { path } = vision;
  const parsed = parseModelConfig(pairConfig(text, vision), path);
  if (parsed.modelType !== 'llava') throw new LlavaError(`${path}: expected a LLaVA, got ${parsed.modelType}`);
  const config = withCompat(parsed, compat);
  const language = Array.from(text.entries, ([name, entry]) => [`language_model.${name}`, entry] as const);
  return {
    config,
    language: config.language,
    image: parseImageRule(vision.imageSettings, path, config),
    weights: new Map([...language, ...vision.entries]),
  };
}

/** What tells the conversation template: the name inside, that of the file or of its folder, whichever names a LLaVA. */
export function modelName({ path, fields }: GgufLanguage): string {
  const file = basename(path).replace(/\.gguf$/i, '');
  const names = [fields.optionalString('general.name') ?? file, file, basename(dirname(path))];
  return names.find(name => /llava/i.test(name)) ?? names[0]!;
}
