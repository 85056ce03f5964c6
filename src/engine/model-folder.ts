/**
 * @file What the files of a model folder say, weights apart: configuration, image settings, tokens that end an answer,
 * names and places of the weights. Hugging Face's layout: config.json, generation_config.json, preprocessor_config.json
 * (or processor_config.json), model.safetensors or shards.
 */

import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isFloat, LlavaError } from '../core/index.ts';
import type { Graph, ParamSource, Port } from '../graph/index.ts';
import {
  blocksFor,
  type CacheType,
  type Compat,
  decoderGraph,
  decoderParts,
  Fields,
  type FormatPlan,
  formatPlan,
  hasImageNewline,
  type JsonObject,
  type LlamaConfig,
  type LlavaConfig,
  nameRules,
  ourName,
  parseModelConfig,
  parseQuantization,
  type Quantization,
  visionGraph,
  withCompat,
} from '../models/index.ts';
import { checkpointTemplate, type JinjaTemplate, type Tokenizer } from '../processor/index.ts';
import {
  checkBase,
  checkTensors,
  findFile,
  isStored,
  openCheckpoint,
  readJson,
  readTensor,
  repoOfSnapshot,
  tokenizerFolder,
  type WeightEntry,
} from '../weights/index.ts';
import { findGgufPair, openGgufPair } from './gguf/open-pair.ts';
import { folderTokenizer } from './gguf/vocabulary.ts';
import { type ImageRule, imageRule } from './image-rule.ts';
import { findTower, hasTower, noTowerError, type TowerFolder, towerWeights } from './vision-tower.ts';

/** Where `config.json` says how this library has stored the linear layers. */
export const QUANTIZATION_KEY = 'llava_ts_quantization';

/** What a model's files say, weights apart. */
export interface ModelFiles {
  readonly folder: string;
  /** The folder, and that of the base where one was given: a file that the first lacks is taken from the next. */
  readonly folders: readonly string[];
  /** The name that the model was published under, else its repository's or its folder's. */
  readonly name: string;
  readonly config: LlavaConfig | LlamaConfig;
  /** The language model's part of the configuration, or all of it. */
  readonly language: LlamaConfig;
  /** Absent for a language model alone. */
  readonly image: ImageRule | undefined;
  /** Conversation template that the model says it was trained with. */
  readonly template: string | undefined;
  /** Tokens that end an answer, as the files say; empty when they say nothing. */
  readonly eosIds: readonly number[];
  /** Absent for a model whose weights are all float. */
  readonly quantization: Quantization | undefined;
  /** Where an original model's vision tower comes from, if that is near. */
  readonly tower: TowerFolder | undefined;
  readonly tokenizer: () => Tokenizer;
  /** The Jinja template that the checkpoint brings, if any. */
  readonly chatTemplate: (tokenizer: Tokenizer) => JinjaTemplate | undefined;
}

/** How a folder is read. */
export interface FolderOptions {
  /** Whose rules hold for pictures and prompts. Default: those of the model's own format. */
  readonly compat?: Compat | undefined;
  /** Folder of the vision tower of a model that only names it. Default: a folder of that name beside the model's. */
  readonly visionTower?: string | undefined;
  /** Folder of the model that the weights are to be applied to: an adapter's, a projector's, a delta's. Default: none. */
  readonly modelBase?: string | undefined;
  /** The vision half (mmproj) of a model that is a GGUF file. Default: none, or the one of the folder given. */
  readonly mmproj?: string | undefined;
}

/** A model's files, read but for the weights themselves. */
export interface ModelFolder extends ModelFiles {
  /** Weights by our names. */
  readonly weights: ReadonlyMap<string, WeightEntry>;
}

/** Reads a folder or GGUF files. Throws {@link LlavaError} that names the file at fault. */
export function openModelFolder(folder: string, options: FolderOptions = {}): ModelFolder {
  const pair = findGgufPair(folder, options.mmproj);
  if (pair) return openGgufPair(pair, options.compat);
  const files = readModelFiles(folder, options);
  const weights = namedWeights(files);
  if (!files.tower || hasTower(weights)) return { ...files, weights };
  return { ...files, weights: new Map([...weights, ...towerWeights(files.tower)]) };
}

/** Reads a folder that need not hold weights. Throws {@link LlavaError} that names the file at fault. */
export function readModelFiles(folder: string, options: FolderOptions = {}): ModelFiles {
  const { compat, visionTower, modelBase } = options;
  const pair = findGgufPair(folder, options.mmproj);
  if (pair) return openGgufPair(pair, compat);
  const root = resolve(folder);
  const folders = modelBase === undefined ? [root] : [root, resolve(modelBase)];
  const file = findFile('config.json', folders) ?? join(root, 'config.json');
  if (!existsSync(file)) checkBase(root, modelBase);
  const json = readJson(file, "a model's configuration") as JsonObject;
  const tower = findTower(root, json, visionTower);
  const parsed = parseModelConfig(json, file, tower?.json);
  if (parsed.modelType === 'clip') throw new LlavaError(`${file}: expected a llava or a language model, got clip`);
  const config = parsed.modelType === 'llava' ? withCompat(parsed, compat) : parsed;
  const language = config.modelType === 'llava' ? config.language : config;
  const published = json._name_or_path;
  return {
    folder: root,
    folders,
    name: typeof published === 'string' && published !== '' ? published : (repoOfSnapshot(root) ?? basename(root)),
    config,
    language,
    image: config.modelType === 'llava' ? imageRule([...folders, ...(tower ? [tower.folder] : [])], config) : undefined,
    template: typeof json.conversation_template === 'string' ? json.conversation_template : undefined,
    eosIds: eosIds(folders, json),
    quantization: quantizationOf(json, file),
    tower,
    tokenizer: () => folderTokenizer(tokenizerFolder(folders)),
    chatTemplate: tokenizer => checkpointTemplate(folders, tokenizer),
  };
}

function quantizationOf(json: JsonObject, file: string): Quantization | undefined {
  const section = new Fields(json, file).optionalObject(QUANTIZATION_KEY);
  return section && parseQuantization(section, `${file}: ${QUANTIZATION_KEY}`);
}

/** `eos_token_id`, a number or a list, of the first file and level that has it. */
function eosIds(folders: readonly string[], json: JsonObject): readonly number[] {
  const file = findFile('generation_config.json', folders);
  const generation = file === undefined ? {} : (readJson(file) as JsonObject);
  const text = json.text_config as JsonObject | undefined;
  const found = generation.eos_token_id ?? json.eos_token_id ?? text?.eos_token_id ?? [];
  const ids = Array.isArray(found) ? found : [found];
  if (ids.every(Number.isInteger)) return ids as number[];
  throw new LlavaError(
    `${folders[0]}: expected eos_token_id to be a token id or a list of them, got ${JSON.stringify(found)}`,
  );
}

/** Throws listing stored names that no rule knows, and names that two stored tensors claim. */
function namedWeights({ folders, config }: ModelFiles): Map<string, WeightEntry> {
  const [root, base] = folders;
  const rules = nameRules(config);
  const named = new Map<string, WeightEntry>();
  const strange: string[] = [];
  for (const entry of openCheckpoint(root!, base).entries.values()) {
    const name = ourName(rules, entry.name);
    if (name === null) continue;
    if (name === undefined || named.has(name)) strange.push(entry.name);
    else named.set(name, entry);
  }
  if (strange.length === 0) return named;
  throw new LlavaError(
    `checkpoint ${root}: expected weights of a ${config.modelType} model, each once, got ${strange.join(', ')}`,
  );
}

/** The graphs of a model that answers. */
export interface ModelGraphs {
  readonly decoder: Graph;
  /** Absent for a language model alone. */
  readonly vision: Graph | undefined;
}

/** Builds both graphs, with the linear layers in the form that the files say, or that of `plan`. */
export function modelGraphs(
  { config, language, quantization }: ModelFiles,
  plan: FormatPlan | undefined = quantization && formatPlan(quantization),
  cacheType?: CacheType,
): ModelGraphs {
  if (config.modelType !== 'llava') return { decoder: decoderGraph(language, '', plan, cacheType), vision: undefined };
  return { decoder: decoderGraph(language, 'language_model', plan, cacheType), vision: visionGraph(config, plan) };
}

/** The decoder in `count` graphs that run one after another. */
export function decoderPartGraphs(
  { config, language, quantization }: ModelFiles,
  cacheType: CacheType,
  count: number,
): Graph[] {
  const prefix = config.modelType === 'llava' ? 'language_model' : '';
  return decoderParts(language, prefix, quantization && formatPlan(quantization), cacheType, count);
}

/**
 * Where each parameter of the graphs lies on disk.
 * @throws LlavaError that lists all missing, unexpected and wrongly shaped weights
 */
export function paramSources(
  { folder, folders, config, weights }: ModelFolder,
  graphs: readonly Graph[],
): (param: Port) => ParamSource {
  const params = new Map(graphs.flatMap(graph => graph.params).map(param => [param.name, param]));
  const expected = Array.from(params.values(), ({ name, shape }) => ({ name, shape: shape as readonly number[] }));
  if (config.modelType === 'llava' && config.format === 'original' && !hasTower(weights)) throw noTowerError(folders);
  checkTensors(folder, weights, expected, { ignore: unusedWeights(config) });
  return ({ name, dtype: wanted }) => {
    const entry = weights.get(name)!;
    const { dtype, file } = entry;
    const fits = isFloat(wanted) ? isFloat(dtype) : dtype === wanted;
    if (!fits)
      throw new LlavaError(
        `${file}: expected ${isFloat(wanted) ? 'float' : wanted} weights, got ${name} of type ${dtype}`,
      );
    if (!isStored(entry)) return { kind: 'host', tensor: readTensor(entry) };
    return { kind: 'file', dtype, file, offset: entry.offset, byteLength: entry.byteLength };
  };
}

/** Weights that checkpoints carry although answering does not need them. */
function unusedWeights(config: LlavaConfig | LlamaConfig): RegExp[] {
  const language = config.modelType === 'llava' ? config.language : config;
  const tied = language.tieWordEmbeddings ? [/(^|\.)lm_head\.weight$/] : [];
  if (config.modelType !== 'llava') return tied;
  const newline = hasImageNewline(config) ? [] : [/^image_newline$/];
  return [...tied, ...newline, ...unusedVisionWeights(config)];
}

/** The tower's last norm and head, and its blocks after the last layer whose output is taken. */
function unusedVisionWeights({ vision, visionFeatureLayers }: LlavaConfig): RegExp[] {
  const used = Math.max(...visionFeatureLayers.map(layer => blocksFor(layer, vision)));
  const blocks = Array.from({ length: vision.numHiddenLayers - used }, (_, i) => used + i).join('|');
  const tower = String.raw`^vision_tower\.vision_model\.`;
  const end = RegExp(String.raw`${tower}(post_layernorm|head)\.`);
  return blocks === '' ? [end] : [end, RegExp(String.raw`${tower}encoder\.layers\.(${blocks})\.`)];
}
