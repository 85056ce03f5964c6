/**
 * @file A model ready to answer: its configuration, its processor, and its two executables, the vision tower with the
 * projector and the decoder. Weights are mapped from their files by ONNX Runtime; only those that are computed pass through
 * JavaScript.
 */

import { AbortedError, LlavaError, rejectUnknownKeys, throwIfAborted } from '../core/index.ts';
import {
  CACHE_TYPES,
  type CacheType,
  type Compat,
  type LlamaConfig,
  type LlavaConfig,
  PRECISIONS,
  type Precision,
} from '../models/index.ts';
import { type ImageLimits, type Processor, stopIds } from '../processor/index.ts';
import { checkDevice, type Device, type Program } from '../runtime/index.ts';
import { type HubOptions, resolveModel } from '../weights/index.ts';
import { checkCompat } from './choose-template.ts';
import { type CompiledModel, compileModel, disposeCompiled } from './compile-model.ts';
import { checkDraft } from './draft.ts';
import { type EncodableImage, ImageEncoder } from './image-encoder.ts';
import { type FolderOptions, type ModelFolder, openModelFolder } from './model-folder.ts';
import { openProcessor } from './open-processor.ts';
import { QUANT_CHOICES, type QuantChoice, quantizedFolder } from './quantize/index.ts';
import { type ImageFeatures, Sequence } from './sequence.ts';
import { missingTower, noTowerError } from './vision-tower.ts';

/** How a model is loaded. */
export interface LoadOptions {
  /**
   * What computes: the processor, or a device that ONNX Runtime drives; the processor helps out with what that cannot. The cache of a
   * conversation lies in the device's memory, with room for the whole context. Default: cpu.
   */
  readonly device?: Device;
  /**
   * What numbers the model is computed in, whatever they are stored in: f16 halves the memory of floats, and graphics cards are faster
   * in it. Default: f32 on the processor, f16 on other devices.
   */
  readonly precision?: Precision;
  /** Threads of a computation. Default: all cores the process may use. */
  readonly threads?: number;
  /**
   * Form of the linear layers' weights, or `auto`: what suits the processor, on other devices as they are stored. Default: as they
   * are stored. A model that is stored in floats is quantised once, into the cache.
   */
  readonly quant?: QuantChoice;
  /**
   * Type that keys and values of a conversation are kept in. f16 takes half the memory; attention is then computed from f16.
   * Default: as the precision.
   */
  readonly kvCache?: CacheType;
  /**
   * Conversation template by name, or a file that ends in `.jinja`. Default: the one the model was trained with, as far as its
   * files or name tell.
   */
  readonly template?: string;
  /**
   * Whose rules hold for pictures and prompts: the original repositories' or those of `transformers`. They differ in little.
   * Default: those of the model's own format.
   */
  readonly compat?: Compat;
  /**
   * Folder of the vision tower of a model that only names it. Default: a folder of that name beside the model's, else the
   * repository.
   */
  readonly visionTower?: string;
  /** Folder or name of the base that an adapter, a projector alone or a delta is applied to. Default: none, the weights are whole. */
  readonly modelBase?: string;
  /**
   * A small language model with the same tokens, named like the model itself, that guesses what comes next: the model then computes
   * several tokens at once, and says what it would say alone. It reads no pictures. `quant`, `precision`, `device` and `threads`
   * hold for it too. Default: none.
   */
  readonly draft?: string;
  /** The vision half (mmproj) of a model that is a GGUF file. Default: none, or the one of the folder given. */
  readonly mmproj?: string;
  /**
   * Keeps the features of pictures on disk, in this folder or, for `true`, in the library's cache: a picture that was asked about
   * before needs no vision tower, in later processes too. At most 2 GiB, least recently used first to go. Default false.
   */
  readonly imageCache?: string | boolean;
  /** Largest image that is read, width × height. Default 100,000,000. */
  readonly maxPixels?: number;
  /** Largest side of an image that is read, pixels. Default 65,535. */
  readonly maxSide?: number;
  /** How a model named `org/name` is downloaded. Default: as the environment says, like Python's `huggingface_hub`. */
  readonly hub?: Omit<HubOptions, 'signal' | 'weights'>;
  /** Gives up loading. */
  readonly signal?: AbortSignal;
}

const LOAD_OPTIONS = [
  'mmproj',
  'device',
  'precision',
  'threads',
  'quant',
  'kvCache',
  'template',
  'compat',
  'visionTower',
  'modelBase',
  'draft',
  'imageCache',
  'maxPixels',
  'maxSide',
  'hub',
  'signal',
];

/** A loaded model. Dispose it to free the weights; sequences made from it must be disposed first. */
export class LlavaModel implements Disposable {
  readonly name: string;
  readonly config: LlavaConfig | LlamaConfig;
  /** The language model's part of the configuration, or all of it. */
  readonly language: LlamaConfig;
  readonly processor: Processor;
  /** Limits of the images that are read. */
  readonly imageLimits: ImageLimits;
  /** Tokens that end an answer. */
  readonly eosIds: ReadonlySet<number>;
  /** Writes ahead of this one. */
  readonly draft: LlavaModel | undefined;
  readonly #decoder: Program;
  readonly #maxTokens: number | undefined;
  readonly #encoder: ImageEncoder | undefined;

  /** Use {@link loadModel}. */
  constructor(
    folder: ModelFolder,
    processor: Processor,
    limits: ImageLimits,
    parts: CompiledModel,
    draft?: LlavaModel,
  ) {
    this.name = folder.name;
    this.config = folder.config;
    this.language = folder.language;
    this.processor = processor;
    this.imageLimits = limits;
    const { tokenizer, template } = processor;
    const eosIds = folder.eosIds.length > 0 ? folder.eosIds : [tokenizer.eosId ?? -1];
    this.eosIds = new Set([...eosIds, ...stopIds(template, tokenizer)]);
    this.draft = draft;
    this.#decoder = parts.decoder;
    this.#maxTokens = parts.maxTokens;
    this.#encoder = parts.vision && new ImageEncoder(parts.vision, parts.imageCache);
  }

  /** A new, empty sequence with room for `positions`; it grows when it must. */
  sequence(positions: number): Sequence {
    return new Sequence(this.#decoder, this.language, positions, this.#maxTokens);
  }

  /** Features of each image, in order. Throws {@link LlavaError} for images of a model without vision. */
  async encodeImages(images: readonly EncodableImage[], signal?: AbortSignal): Promise<ImageFeatures[]> {
    if (images.length === 0) return [];
    if (this.#encoder) return this.#encoder.encode(images, signal);
    throw new LlavaError(`model ${this.name}: expected no images for a language model, got ${images.length}`);
  }

  dispose(): void {
    this.draft?.dispose();
    this.#decoder.dispose();
    this.#encoder?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Loads a model, a LLaVA or a language model alone, from a folder or, named `org/name` or `org/name@revision`, from the Hub.
 * @throws LlavaError that names the file at fault, and for weights every one that is missing, unexpected or misshapen
 */
export async function loadModel(name: string, options: LoadOptions = {}): Promise<LlavaModel> {
  checkLoadOptions(options);
  if (options.draft === undefined) return await loadOne(name, options);
  const draft = await loadOne(options.draft, optionsOfDraft(options), { alternates: true });
  try {
    return await loadOne(name, options, { alternates: true, draft });
  } catch (error) {
    draft.dispose();
    throw error;
  }
}

/** What holds for the draft too. */
function optionsOfDraft({ quant, precision, device, threads, hub, signal }: LoadOptions): LoadOptions {
  const all = { quant, precision, device, threads, hub, signal };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

interface Company {
  /** Whether another model computes between this one's runs. */
  readonly alternates?: boolean;
  readonly draft?: LlavaModel;
}

async function loadOne(name: string, options: LoadOptions, { alternates, draft }: Company = {}): Promise<LlavaModel> {
  throwIfAborted(options.signal, `load ${name}`);
  const { signal, device = 'cpu' } = options;
  const quant = options.quant === 'auto' && device !== 'cpu' ? undefined : options.quant;
  const path = await resolveModel(name, { ...options.hub, signal });
  const files = await findFiles(path, options);
  const source = quant ? await quantizedFolder(path, quant, { files, ...(signal && { signal }) }) : path;
  // A quantised copy has the base in it.
  const folder = openModelFolder(
    source,
    source === path ? files : { compat: files.compat, visionTower: files.visionTower },
  );
  const executables = compileModel(folder, { ...options, ...(alternates && { alternates }) });
  try {
    // Reading the tokenizer takes as long as compiling a small model, which runs on other threads.
    const processor = openProcessor(folder, options);
    if (draft) checkDraft(folder.name, processor.tokenizer, draft);
    const model = new LlavaModel(folder, processor, imageLimits(options), await executables, draft);
    if (options.signal?.aborted) model.dispose();
    throwIfAborted(options.signal, `load ${name}`);
    return model;
  } catch (error) {
    executables.then(disposeCompiled, () => {});
    throw error;
  }
}

/** What a model's folder needs beside it: paths as they are, repositories downloaded. */
async function findFiles(path: string, options: LoadOptions): Promise<FolderOptions> {
  const { compat, mmproj, hub, signal } = options;
  const find = async (name: string | undefined) => name && (await resolveModel(name, { ...hub, signal }));
  const modelBase = await find(options.modelBase);
  const visionTower = (await find(options.visionTower)) ?? (await fetchTower(path, modelBase, { ...hub, signal }));
  return { compat, visionTower, modelBase, mmproj };
}

/** The tower that an original model only names, where it is not near: from the Hub. */
async function fetchTower(path: string, modelBase: string | undefined, options: HubOptions) {
  const name = missingTower(path, modelBase);
  try {
    return name && (await resolveModel(name, options));
  } catch (error) {
    if (error instanceof AbortedError || !(error instanceof LlavaError)) throw error;
    throw new LlavaError(
      `${noTowerError(modelBase === undefined ? [path] : [path, modelBase]).message} (${error.message})`,
    );
  }
}

function checkLoadOptions(options: LoadOptions): void {
  rejectUnknownKeys('options', options, LOAD_OPTIONS);
  checkChoice('quant', options.quant, QUANT_CHOICES);
  for (const name of ['threads', 'maxPixels', 'maxSide'] as const) {
    const value = options[name] ?? 1;
    const valid = Number.isInteger(value) && value >= 1;
    if (!valid) throw new LlavaError(`option ${name}: expected an integer of at least 1, got ${value}`);
  }
  if (options.device !== undefined) checkDevice(options.device);
  checkChoice('kvCache', options.kvCache, CACHE_TYPES);
  checkChoice('precision', options.precision, PRECISIONS);
  checkCompat(options.compat);
}

function checkChoice(name: string, value: string | undefined, choices: readonly string[]): void {
  if (value === undefined || choices.includes(value)) return;
  throw new LlavaError(`option ${name}: expected one of ${choices.join(', ')}, got ${value}`);
}

function imageLimits({ maxPixels, maxSide }: LoadOptions): ImageLimits {
  return { ...(maxPixels !== undefined && { maxPixels }), ...(maxSide !== undefined && { maxSide }) };
}
