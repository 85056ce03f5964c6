/**
 * @file Writes a model as GGUF files that llama.cpp loads: the language model with its tokenizer, and for a LLaVA the vision
 * half. Tensor by tensor: the largest one, as read, as rounded and as written, is what is in memory.
 */

import { join } from 'node:path';
import { assert, type HostTensor, hostTensor, LlavaError, rejectUnknownKeys } from '../../core/index.ts';
import type { LlamaConfig } from '../../models/index.ts';
import { folderVocabulary } from '../../processor/index.ts';
import {
  type GgufTensorSource,
  type GgufValue,
  LANGUAGE_NAMES,
  readTensor,
  renamer,
  tokenizerFolder,
  toPairs,
  VISION_NAMES,
  type WeightEntry,
  type WritableType,
  writeGguf,
  writtenBytes,
} from '../../weights/index.ts';
import type { ModelFolder } from '../model-folder.ts';
import { architectureOf, frequencyDivisors, languageMetadata } from './language-metadata.ts';
import { featureLayers, visionMetadata } from './vision-metadata.ts';
import { CHAT_TEMPLATE_KEY, EOT_KEY, TEMPLATE_KEY, vocabularyMetadata } from './vocabulary.ts';

/** Element types of a GGUF model's matrices. Vectors are f32, and the vision half is f16 at least. */
export const GGUF_DTYPES = ['f32', 'f16', 'q8_0', 'q4_0'] as const;

/** An element type of a GGUF model's matrices. */
export type GgufDtype = (typeof GGUF_DTYPES)[number];

/** How {@link writeGgufPair} writes. */
export interface WriteGgufPairOptions {
  /** Default f16. */
  readonly dtype?: GgufDtype;
  /** Jinja text of the conversation template, for other programs. */
  readonly chatTemplate?: string | undefined;
  /** Called after each tensor. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
  /** Stops after the tensor under way. */
  readonly signal?: AbortSignal;
}

/** The files that were written. */
export interface WrittenGgufPair {
  readonly language: string;
  /** Absent for a language model alone. */
  readonly vision: string | undefined;
}

const TYPES = { f32: 'F32', f16: 'F16', q8_0: 'Q8_0', q4_0: 'Q4_0' } as const satisfies Record<GgufDtype, WritableType>;
/** Numbers of `general.file_type`. */
const FILE_TYPES = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7 } as const satisfies Record<WritableType, number>;
const OPTIONS = ['dtype', 'chatTemplate', 'onProgress', 'signal'];

/**
 * Writes `model-DTYPE.gguf`, and for a LLaVA `mmproj-DTYPE.gguf`, into the folder `destination`.
 * @throws LlavaError for what llama.cpp has no form for, and when the files cannot be written
 */
export async function writeGgufPair(
  model: ModelFolder,
  destination: string,
  options: WriteGgufPairOptions = {},
): Promise<WrittenGgufPair> {
  rejectUnknownKeys('options', options, OPTIONS);
  const { dtype = 'f16', onProgress, signal } = options;
  const type = TYPES[dtype];
  if (!type) throw new LlavaError(`option dtype: expected ${GGUF_DTYPES.join(', ')}, got ${dtype}`);
  const files = [languageFile(model, destination, type, options), ...visionFiles(model, destination, type)];
  const totalBytes = files.flatMap(file => file.tensors).reduce((sum, tensor) => sum + writtenBytes(tensor), 0);
  let bytes = 0;
  const onTensor = (count: number): void => {
    bytes += count;
    onProgress?.({ bytes, totalBytes });
  };
  for (const { path, metadata, tensors } of files) {
    await writeGguf(path, metadata, tensors, { onTensor, ...(signal && { signal }) });
  }
  return { language: files[0]!.path, vision: files[1]?.path };
}

interface PlannedFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensorSource[];
}

function general(architecture: string, { name, template }: ModelFolder, type: WritableType): [string, GgufValue][] {
  return [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.name', { type: 'string', value: name }],
    ['general.file_type', { type: 'u32', value: FILE_TYPES[type] }],
    ...(type === 'F32' || type === 'F16'
      ? []
      : [['general.quantization_version', { type: 'u32', value: 2 }] as [string, GgufValue]]),
    ...(template === undefined ? [] : [[TEMPLATE_KEY, { type: 'string', value: template }] as [string, GgufValue]]),
  ];
}

function languageFile(
  model: ModelFolder,
  destination: string,
  type: WritableType,
  { chatTemplate }: WriteGgufPairOptions,
): PlannedFile {
  const { language, folder, eosIds } = model;
  const vocabulary = folderVocabulary(tokenizerFolder(model.folders), language.vocabSize);
  const [eosId = vocabulary.eosId, eotId] = eosIds;
  const metadata = new Map([
    ...general(architectureOf(language), model, type),
    ...languageMetadata(language, folder),
    ...vocabularyMetadata({ ...vocabulary, eosId }),
    ...(eotId === undefined ? [] : [[EOT_KEY, { type: 'u32', value: eotId }] as [string, GgufValue]]),
    ...(chatTemplate === undefined
      ? []
      : [[CHAT_TEMPLATE_KEY, { type: 'string', value: chatTemplate }] as [string, GgufValue]]),
  ]);
  const divisors = frequencyDivisors(language);
  const tensors = [
    ...(divisors ? [hostSource('rope_freqs.weight', hostTensor('f32', [divisors.length], divisors))] : []),
    ...languageTensors(model, type),
  ];
  return { path: join(destination, `model-${typeName(type)}.gguf`), metadata, tensors };
}

const typeName = (type: WritableType): string => type.toLowerCase();

const hostSource = (name: string, tensor: HostTensor): GgufTensorSource => ({
  name,
  type: 'F32',
  shape: tensor.shape,
  read: () => tensor,
});

function languageTensors({ weights, language, config }: ModelFolder, type: WritableType): GgufTensorSource[] {
  const prefix = config.modelType === 'llava' ? 'language_model.' : '';
  const rename = renamer(LANGUAGE_NAMES, 'to-gguf');
  const inPairs = architectureOf(language) === 'llama';
  return [...weights].flatMap(([ours, entry]) => {
    if (!ours.startsWith(prefix)) return [];
    const name = rename(ours.slice(prefix.length));
    if (name === undefined || (name === 'output.weight' && language.tieWordEmbeddings)) return [];
    const isRotary = inPairs && /\.attn_[qk]\./.test(name);
    const read = isRotary ? () => paired(readTensor(entry), language) : () => readTensor(entry);
    return [{ name, type: typeFor(entry, type), shape: entry.shape, read }];
  });
}

/** Matrices get `type`, f16 where their rows are no whole blocks; vectors f32. */
function typeFor({ shape }: WeightEntry, type: WritableType): WritableType {
  if (shape.length < 2) return 'F32';
  return (type === 'Q8_0' || type === 'Q4_0') && shape.at(-1)! % 32 !== 0 ? 'F16' : type;
}

function paired({ dtype, shape, data }: HostTensor, { headDim }: LlamaConfig): HostTensor {
  assert(shape[0]! % headDim === 0, `rows [${shape}] in heads of ${headDim}`);
  return hostTensor(dtype, shape, toPairs(data, headDim, data.length / shape[0]!));
}

function visionFiles(model: ModelFolder, destination: string, type: WritableType): PlannedFile[] {
  const { config, image, weights, folder } = model;
  if (config.modelType !== 'llava' || !image) return [];
  const stored = type === 'F32' ? 'F32' : 'F16';
  const rename = renamer(VISION_NAMES, 'to-gguf');
  const blocks = Math.max(...featureLayers(config));
  const tensors = [...weights].flatMap(([ours, entry]): GgufTensorSource[] => {
    const name = rename(ours);
    const block = Number(/^v\.blk\.(\d+)\./.exec(name ?? '')?.[1] ?? -1);
    if (name === undefined || block >= blocks || name.startsWith('v.post_ln.')) return [];
    return [{ name, type: entry.shape.length < 2 ? 'F32' : stored, shape: entry.shape, read: () => readTensor(entry) }];
  });
  const metadata = new Map([...general('clip', model, stored), ...visionMetadata(config, image, folder)]);
  return [{ path: join(destination, `mmproj-${typeName(stored)}.gguf`), metadata, tensors }];
}
