/**
 * @file The files of a converted model beside its weights: configuration, image settings, tokenizer, chat template, each in
 * the form that the layout's readers look for.
 */

import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { blocksFor, type JsonObject, type Layout, type LlavaConfig } from '../../models/index.ts';
import {
  changedTokenizerFiles,
  formatImageSettings,
  IMAGE_MARK,
  TOKENIZER_FILES,
  type Tokenizer,
} from '../../processor/index.ts';
import { findFile, readJson, tokenizerFolder, writeFileAtomic } from '../../weights/index.ts';
import { chooseTemplate } from '../choose-template.ts';
import type { ModelFolder } from '../model-folder.ts';
import { chatTemplate } from './chat-template.ts';
import { configJson, formatConfig, isLlavaNext, pinpoints, selectStrategy } from './config-json.ts';
import { planVocabulary, sameVocabulary, type VocabularyPlan } from './vocabulary.ts';

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
  const { config, folders } = folder;
  const root = folder.folder;
  const file = findFile('config.json', folders);
  if (file === undefined) {
    throw new LlavaError(
      `${root}: expected a checkpoint's folder, with a tokenizer that can be copied, got a GGUF file`,
    );
  }
  const json = { ...(readJson(file) as JsonObject), _name_or_path: folder.name };
  if (config.modelType !== 'llava') return languageCompanions(folder, layout, json, DTYPE_NAMES[dtype]);
  if (layout === 'original') refuseForOriginal(root, config);
  const tower = layoutTower(folder, config, layout);
  const tokenizerRoot = tokenizerFolder(folders);
  const tokenizer = mayLackTokenizer(folder, layout) ? undefined : folder.tokenizer();
  const plan = tokenizer
    ? planVocabulary(layout, tokenizer, config.language.vocabSize, root)
    : sameVocabulary(config, json);
  const isHuggingFace = layout !== 'original';
  const source = {
    config: { ...config, ...tower },
    json,
    ...plan,
    dtype: DTYPE_NAMES[dtype],
    squareMode: folder.image!.mode,
  };
  const files: [string, Companion][] = [
    ...copies([tokenizerRoot], TOKENIZER_FILES),
    ...(tokenizer ? changedTokenizerFiles(tokenizerRoot, plan.change) : []),
    ...chatTemplates(folder, tokenizer, isHuggingFace),
    ['generation_config.json', generationJson(json, folder, tokenizer, plan)],
    ['preprocessor_config.json', preprocessorJson(folder, config, layout)],
    ...(isHuggingFace ? [['processor_config.json', processorJson(config)] as [string, Companion]] : []),
    ['config.json', formatConfig(configJson(layout, source))],
  ];
  return { rows: plan.rows, files: new Map(files) };
}

/**
 * The original takes the last block off a SigLIP and reads what is then last; published checkpoints of Hugging Face have it
 * taken off already. Blocks are counted so that both read the same one.
 */
function layoutTower(
  { weights }: ModelFolder,
  { vision, visionFeatureLayers }: LlavaConfig,
  layout: Layout,
): Partial<Pick<LlavaConfig, 'vision' | 'visionFeatureLayers'>> {
  if (vision.modelType !== 'siglip_vision_model') return {};
  const blocks = vision.numHiddenLayers;
  const isWhole = weights.has(`vision_tower.vision_model.encoder.layers.${blocks - 1}.layer_norm1.weight`);
  const counted = (numHiddenLayers: number, layer: number) => ({
    vision: { ...vision, numHiddenLayers },
    visionFeatureLayers: [layer],
  });
  const [layer] = visionFeatureLayers;
  if (layout === 'original') return layer === -1 || layer === blocks ? counted(blocks + 1, -2) : {};
  return layer === -2 && !isWhole ? counted(blocks - 1, -1) : {};
}

/** A tokenizer is needed where tokens may have to be added: on the way from the original's layout. */
function mayLackTokenizer({ config, folders }: ModelFolder, layout: Layout): boolean {
  const has = copies(folders, TOKENIZER_FILES).some(([name]) => /^tokenizer\.(json|model|bin)$/.test(name));
  const isKnown = config.modelType === 'llava' && (config.format === 'hf' || layout === 'original');
  return !has && isKnown;
}

/** A language model alone keeps its vocabulary and, but for the type, its configuration. */
function languageCompanions(folder: ModelFolder, layout: Layout, json: JsonObject, dtype: string): Companions {
  if (layout === 'original') {
    throw new LlavaError(`${folder.folder}: expected a LLaVA for this layout, got ${folder.config.modelType}`);
  }
  const { dtype: _, torch_dtype: __, ...rest } = json;
  const config: [string, Companion] = ['config.json', formatConfig({ ...rest, torch_dtype: dtype })];
  const others = copies(folder.folders, [...CHAT_TEMPLATES, 'generation_config.json']);
  const tokenizer = copies([tokenizerFolder(folder.folders)], TOKENIZER_FILES);
  return { rows: undefined, files: new Map([...tokenizer, ...others, config]) };
}

/** Each of the files that one of the folders has. */
function copies(folders: readonly string[], names: readonly string[]): [string, Companion][] {
  return names.flatMap(name => {
    const found = findFile(name, folders);
    return found === undefined ? [] : [[name, { copyOf: found }]];
  });
}

/** Hugging Face's models have their template as text; where there is none, that of the template they are asked with. */
function chatTemplates(
  folder: ModelFolder,
  tokenizer: Tokenizer | undefined,
  isWanted: boolean,
): [string, Companion][] {
  const found = copies(folder.folders, CHAT_TEMPLATES);
  if (!isWanted || !tokenizer || found.length > 0) return found;
  return [['chat_template.jinja', chatTemplate(chooseTemplate(folder, tokenizer))]];
}

/** Throws for what the original's configuration cannot say. */
function refuseForOriginal(root: string, { projectorBias, vision, visionFeatureLayers: layers }: LlavaConfig): void {
  const lacks = (what: string) => new LlavaError(`${root}: expected ${what}, as the original layout has it`);
  if (!projectorBias) throw lacks('a projector with biases');
  if (layers.length > 1) throw lacks(`features of one layer, got those of ${layers.join(' and ')}`);
  if (vision.modelType === 'siglip_vision_model' && blocksFor(layers[0]!, vision) < vision.numHiddenLayers - 1) {
    throw lacks(`features of SigLIP's last block or the one before, got those of layer ${layers[0]}`);
  }
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
  json: JsonObject,
  { folders, eosIds }: ModelFolder,
  tokenizer: Tokenizer | undefined,
  { padId }: VocabularyPlan,
): JsonObject {
  const file = findFile('generation_config.json', folders);
  const given = file === undefined ? {} : (readJson(file) as JsonObject);
  const text = (json.text_config ?? json) as JsonObject;
  const eos = eosIds.length === 1 ? eosIds[0] : eosIds.length > 1 ? eosIds : tokenizer?.eosId;
  const bos = given.bos_token_id ?? text.bos_token_id ?? tokenizer?.bosId;
  const ids = { bos_token_id: bos, eos_token_id: eos, pad_token_id: padId };
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
