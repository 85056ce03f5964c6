/**
 * @file How a model is asked: which template writes its prompts, and how the text around images is encoded. Both follow
 * where the model comes from. An original repository's is asked as LLaVA's command line asks it, which goes by the model's
 * name; Hugging Face's as `transformers` asks it, with the chat template among the checkpoint's files.
 */

import { LlavaError } from '../core/index.ts';
import { COMPAT_NAMES, type Compat } from '../models/index.ts';
import {
  getTemplate,
  IMAGE_MARK,
  JinjaTemplate,
  type PromptEncoding,
  type PromptTemplate,
  selectTemplate,
  type TemplateName,
  type Tokenizer,
  templateFromFile,
} from '../processor/index.ts';
import type { ModelFiles } from './model-folder.ts';

/** What the caller wants of a prompt. */
export interface PromptOptions {
  /** Name of a built-in template, or a file that ends in `.jinja`. */
  readonly template?: string;
  /** Whose prompt and tokens. Default: as the model's files say. */
  readonly compat?: Compat;
}

/** Throws {@link LlavaError} that names the option for a value that is none. */
export function checkCompat(compat: Compat | undefined): void {
  if (compat === undefined || COMPAT_NAMES.includes(compat)) return;
  throw new LlavaError(`option compat: expected ${COMPAT_NAMES.join(' or ')}, got ${compat}`);
}

/** The parts of a model's files that decide. */
type Facts = Pick<ModelFiles, 'name' | 'template' | 'config' | 'chatTemplate'>;

/**
 * The caller's template; else the one stated in config.json, which is this library's own key; else for Hugging Face's models
 * the checkpoint's, or what llava-hf publishes for a model of such a name; for the original ones by the rules of LLaVA's
 * command line.
 */
export function chooseTemplate(facts: Facts, tokenizer: Tokenizer, options: PromptOptions = {}): PromptTemplate {
  const { template: wanted = facts.template } = options;
  if (wanted?.endsWith('.jinja')) return templateFromFile(wanted, tokenizer);
  if (wanted !== undefined) return getTemplate(wanted);
  if (rulesOf(facts, tokenizer, options.compat) === 'original') return originalTemplate(facts);
  const own = knowsImages(tokenizer) || facts.config.modelType !== 'llava';
  return (own ? facts.chatTemplate(tokenizer) : undefined) ?? publishedTemplate(facts);
}

/**
 * Text around images is encoded as the model was trained: by this library, which states the template in config.json, and with
 * Hugging Face's prompts, as a whole; with the original's, chunk by chunk. A tokenizer that does not know `<image>` leaves no
 * choice.
 */
export function chooseEncoding(
  { template: stated }: Pick<ModelFiles, 'template'>,
  tokenizer: Tokenizer,
  template: PromptTemplate,
  { compat }: PromptOptions = {},
): PromptEncoding {
  if (!knowsImages(tokenizer)) return 'llava';
  if (compat !== undefined) return compat === 'hf' ? 'hf' : 'llava';
  const isHuggingFace = template instanceof JinjaTemplate || template.name.startsWith('hf_');
  return stated !== undefined || isHuggingFace ? 'hf' : 'llava';
}

/** The original code has no `<image>` among the tokens; Hugging Face's checkpoints always do. */
function knowsImages(tokenizer: Tokenizer): boolean {
  return tokenizer.tokenToId(IMAGE_MARK) !== undefined;
}

function rulesOf({ config }: Pick<Facts, 'config'>, tokenizer: Tokenizer, wanted: Compat | undefined): Compat {
  if (wanted !== undefined) return wanted;
  if (config.modelType !== 'llava') return 'hf';
  if (config.compat !== config.format) return config.compat;
  return config.format === 'original' || !knowsImages(tokenizer) ? 'original' : 'hf';
}

/**
 * By LLaVA's command line; where that knows no name, by LLaVA-NeXT's documentation and LLaVA-Med's web demo. LLaVA's own web
 * demo differs for names with `orca` (mistral_orca), `hermes` (chatml_direct) and `mmtag` (the templates of that kind).
 */
function originalTemplate({ name, config }: Pick<Facts, 'name' | 'config'>): PromptTemplate {
  const isNamed = (text: RegExp): boolean => text.test(name.toLowerCase());
  if (config.modelType !== 'llava') return getTemplate(isNamed(/llama-2/) ? 'llama_2' : 'vicuna_v1');
  const selected = selectTemplate(name);
  if (isNamed(/llava[-_]med/) && selected.name !== 'mistral_instruct') return getTemplate('llava_med');
  if (selected.name !== 'llava_v0') return selected;
  if (isNamed(/llama-?3/)) return getTemplate('llava_llama_3');
  return config.language.modelType === 'qwen2' ? getTemplate('qwen_1_5') : selected;
}

/** What llava-hf publishes by name: the first rule that fits. */
const PUBLISHED: readonly (readonly [RegExp, TemplateName])[] = [
  [/llama-?3/, 'hf_llava_next_llama_3'],
  [/mistral/, 'hf_llava_1_6_mistral'],
  [/34b|hermes/, 'hf_llava_1_6_34b'],
  [/qwen|72b|110b/, 'hf_llava_next_qwen'],
  [/v1\.6|next/, 'hf_llava_1_6_vicuna'],
];

function publishedTemplate({ name, config }: Pick<Facts, 'name' | 'config'>): PromptTemplate {
  if (config.modelType !== 'llava') return originalTemplate({ name, config });
  const rule = PUBLISHED.find(([text]) => text.test(name.toLowerCase()));
  const ofLlama = config.anyres ? 'hf_llava_1_6_vicuna' : 'hf_llava_1_5';
  const byLanguage = { llama: ofLlama, mistral: 'hf_llava_1_6_mistral', qwen2: 'hf_llava_next_qwen' } as const;
  return getTemplate(rule?.[1] ?? byLanguage[config.language.modelType]);
}
