/**
 * @file The files of a converted model beside its weights: configuration, image settings, tokenizer, chat template, each in
 * the form that the layout's readers look for.
 */

import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import type { JsonObject, Layout, LlavaConfig } from '../../models/index.ts';
import {
  changedTokenizerFiles,
  formatImageSettings,
  IMAGE_MARK,
  loadTokenizer,
  TOKENIZER_FILES,
  type Tokenizer,
} from '../../processor/index.ts';
import { readJson, writeFileAtomic } from '../../weights/index.ts';
import { chooseTemplate } from '../choose-template.ts';
import type { ModelFolder } from '../model-folder.ts';
import { chatTemplate } from './chat-template.ts';
import { configJson, formatConfig, isLlavaNext, pinpoints, selectStrategy } from './config-json.ts';
import { planVocabulary, type VocabularyPlan } from './vocabulary.ts';

/** Text or JSON to write, or a file to copy. */
type Companion = string | JsonObject | { readonly copyOf: string };

/** What stands beside the weights. */
export interface Companions {
  /** Rows of the embeddings; undefined: as they are. */
  readonly rows: number | undefined;
  /** By file name; `config.json` is the last. */
  readonly files: ReadonlyMap<string, Companion>;
}

const CHAT_TEMPLATES = ['chat_template.jinja', 'chat_template.json'];
const DTYPE_NAMES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** Plans the files of a model whose weights become `dtype`. */
export function planCompanions(folder: ModelFolder, layout: Layout, dtype: keyof typeof DTYPE_NAMES): Companions {
  const root = folder.folder;
  const json = readJson(join(root, 'config.json')) as JsonObject;
  const copies = (names: readonly string[]): [string, Companion][] =>
    names.flatMap(name => (existsSync(join(root, name)) ? [[name, { copyOf: join(root, name) }]] : []));
  const { config } = folder;
  if (config.modelType !== 'llava') {
    if (layout === 'original')
      throw new LlavaError(`${root}: expected a LLaVA for this layout, got ${config.modelType}`);
    const { dtype: _, torch_dtype: __, ...rest } = json;
    const files = copies([...TOKENIZER_FILES, ...CHAT_TEMPLATES, 'generation_config.json']);
    return {
      rows: undefined,
      files: new Map([...files, ['config.json', formatConfig({ ...rest, torch_dtype: DTYPE_NAMES[dtype] })]]),
    };
  }
  if (layout === 'original') refuseForOriginal(root, config);
  const tokenizer = loadTokenizer(root);
  const plan = planVocabulary(layout, tokenizer, config.language.vocabSize, root);
  const chat = copies(CHAT_TEMPLATES);
  const isHuggingFace = layout !== 'original';
  if (isHuggingFace && chat.length === 0) {
    chat.push(['chat_template.jinja', chatTemplate(chooseTemplate(folder, tokenizer))]);
  }
  const source = {
    config,
    json: named(json, folder),
    ...plan,
    dtype: DTYPE_NAMES[dtype],
    squareMode: folder.image!.mode,
  };
  const files: [string, Companion][] = [
    ...copies(TOKENIZER_FILES),
    ...changedTokenizerFiles(root, plan.change),
    ...chat,
    ['generation_config.json', generationJson(root, json, folder, tokenizer, plan)],
    ['preprocessor_config.json', preprocessorJson(folder, config, layout)],
    ...(isHuggingFace ? [['processor_config.json', processorJson(config)] as [string, Companion]] : []),
    ['config.json', formatConfig(configJson(layout, source))],
  ];
  return { rows: plan.rows, files: new Map(files) };
}

/** Throws for what the original's configuration cannot say. */
function refuseForOriginal(root: string, { projectorBias, visionFeatureLayers: layers }: LlavaConfig): void {
  const lacks = (what: string) => new LlavaError(`${root}: expected ${what}, as the original layout has it`);
  if (!projectorBias) throw lacks('a projector with biases');
  if (layers.length > 1) throw lacks(`features of one layer, got those of ${layers.join(' and ')}`);
}

/** The published name says which conversation template a model wants. */
function named(json: JsonObject, { name }: ModelFolder): JsonObject {
  return { ...json, _name_or_path: name };
}

/**
 * Hugging Face's processors pad to a square, or cut into tiles, by their own settings; the original by those of config.json,
 * with CLIP's processor.
 */
function preprocessorJson({ image }: ModelFolder, config: LlavaConfig, layout: Layout): JsonObject {
  const { settings, mode } = image!;
  const { image_processor_type: _, processor_class: __, image_grid_pinpoints: ___, ...unknown } = settings.unknown;
  const isNext = layout !== 'original' && isLlavaNext(config);
  const padToSquare = layout !== 'original' && mode === 'pad' && !isNext;
  const json = formatImageSettings({ ...settings, unknown, padToSquare }) as JsonObject;
  if (!isNext) return json;
  const next = { image_processor_type: 'LlavaNextImageProcessor', do_pad: true };
  return { ...json, ...next, image_grid_pinpoints: pinpoints(config, 'hf') };
}

function generationJson(
  root: string,
  json: JsonObject,
  { eosIds }: ModelFolder,
  tokenizer: Tokenizer,
  { padId }: VocabularyPlan,
): JsonObject {
  const file = join(root, 'generation_config.json');
  const given = existsSync(file) ? (readJson(file) as JsonObject) : {};
  const text = (json.text_config ?? json) as JsonObject;
  const eos = eosIds.length === 1 ? eosIds[0] : eosIds.length > 1 ? eosIds : tokenizer.eosId;
  const ids = {
    bos_token_id: given.bos_token_id ?? text.bos_token_id ?? tokenizer.bosId,
    eos_token_id: eos,
    pad_token_id: padId,
  };
  return { ...given, ...Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined)) };
}

/** What Python's `AutoProcessor` reads; `num_additional_image_tokens` is the class token. */
function processorJson(config: LlavaConfig): JsonObject {
  const { vision } = config;
  return {
    processor_class: isLlavaNext(config) ? 'LlavaNextProcessor' : 'LlavaProcessor',
    image_token: IMAGE_MARK,
    patch_size: vision.patchSize,
    num_additional_image_tokens: vision.modelType === 'clip_vision_model' ? 1 : 0,
    vision_feature_select_strategy: selectStrategy(config),
  };
}

/** Writes the files, each all or nothing, in order. */
export async function writeCompanions(folder: string, { files }: Companions): Promise<void> {
  for (const [name, content] of files) {
    const target = join(folder, name);
    if (typeof content === 'string') await writeFileAtomic(target, content);
    else if (typeof content.copyOf === 'string') await copyFile(content.copyOf, target);
    else await writeFileAtomic(target, `${JSON.stringify(content, null, 2)}\n`);
  }
}
