/**
 * @file A model's parts as far as they are known: from the headers of its weights, or, where files of weights are missing or
 * broken, from the names in its index with the shapes that the configuration gives them.
 */

import { type DType, dtypeSize, sizeOf } from '../core/index.ts';
import { decoderGraph, type JsonObject, nameRules, ourName, visionGraph } from '../models/index.ts';
import { findFile, parseWeightIndex, readJson, storedBytes, type WeightEntry } from '../weights/index.ts';
import type { ModelFiles } from './model-folder.ts';

/** Part of a model, as stored. */
export interface PartDescription {
  readonly name: 'vision tower' | 'projector' | 'language model';
  readonly parameters: number;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly dtypes: readonly DType[];
}

/** What is known of one tensor. */
interface TensorOutline {
  readonly name: string;
  readonly dtype: DType;
  readonly parameters: number;
  readonly bytes: number;
}

const INDEX_FILES = ['model.safetensors.index.json', 'pytorch_model.bin.index.json'];
const DTYPES: Readonly<Record<string, DType>> = { float32: 'f32', float16: 'f16', bfloat16: 'bf16' };

/** Parts by the headers of the weights, which are named as ours. */
export function partsOfWeights(weights: ReadonlyMap<string, WeightEntry>): PartDescription[] {
  return parts(
    Array.from(weights, ([name, entry]) => {
      const [parameters, bytes] = [sizeOf(entry.shape), storedBytes(entry)];
      return { name, dtype: entry.dtype, parameters, bytes };
    }),
  );
}

/** What an index tells of the weights that it names. */
export interface IndexOutline {
  readonly parts: readonly PartDescription[];
  /** Names of its tensors, as ours. */
  readonly names: ReadonlySet<string>;
}

/**
 * What the index of the weights tells, undefined where there is none. Tensors of which the configuration does not tell the
 * shape count for nothing. Throws {@link LlavaError} when the index is broken.
 */
export function readIndexOutline(files: ModelFiles): IndexOutline | undefined {
  const index = INDEX_FILES.map(name => findFile(name, files.folders)).find(path => path !== undefined);
  if (index === undefined) return undefined;
  const dtype = statedType(readJson(findFile('config.json', files.folders)!) as JsonObject);
  const shapes = shapesOf(files);
  const stored = [...parseWeightIndex(readJson(index), index).keys()];
  const names = stored.map(name => ourName(nameRules(files.config), name)).filter(name => typeof name === 'string');
  const known = names.flatMap(name => {
    const shape = shapes.get(name);
    return shape ? [{ name, dtype, parameters: sizeOf(shape), bytes: sizeOf(shape) * dtypeSize(dtype) }] : [];
  });
  return { parts: parts(known), names: new Set(names) };
}

/** Shapes of the weights of a whole model, by our names. */
function shapesOf({ config, language }: ModelFiles): Map<string, readonly number[]> {
  if (config.modelType !== 'llava') return paramShapes(decoderGraph(language, ''));
  const norm = ['weight', 'bias'].map(
    kind => [`vision_tower.vision_model.post_layernorm.${kind}`, [config.vision.hiddenSize]] as const,
  );
  const tower = visionGraph({ ...config, visionFeatureLayers: [-1] });
  return new Map([...paramShapes(tower), ...norm, ...paramShapes(decoderGraph(language, 'language_model'))]);
}

function paramShapes(graph: ReturnType<typeof visionGraph>): Map<string, readonly number[]> {
  return new Map(graph.params.map(({ name, shape }) => [name, shape as readonly number[]]));
}

/** The type that a configuration says its weights have. */
function statedType(json: JsonObject): DType {
  const text = (json.text_config ?? {}) as JsonObject;
  return DTYPES[String(json.dtype ?? json.torch_dtype ?? text.dtype ?? text.torch_dtype)] ?? 'f32';
}

function parts(tensors: readonly TensorOutline[]): PartDescription[] {
  const found = [...new Set(tensors.map(({ name }) => partOf(name)))];
  return found.map(name => {
    const group = tensors.filter(tensor => partOf(tensor.name) === name);
    const parameters = group.reduce((sum, tensor) => sum + tensor.parameters, 0);
    const bytes = group.reduce((sum, tensor) => sum + tensor.bytes, 0);
    return { name, parameters, bytes, dtypes: [...new Set(group.map(({ dtype }) => dtype))] };
  });
}

function partOf(name: string): PartDescription['name'] {
  if (name.startsWith('vision_tower.')) return 'vision tower';
  return /^(multi_modal_projector\.|image_newline$)/.test(name) ? 'projector' : 'language model';
}
