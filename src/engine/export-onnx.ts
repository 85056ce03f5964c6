/**
 * @file A model as ONNX files that any ONNX Runtime runs: `vision.onnx` (tower and projector) and `decoder.onnx`, each with
 * its weights in one `.data` file beside it, and what goes with them: tokenizer, configuration, `onnx.json`, a README.
 * Weights are copied piece by piece, whatever their size.
 */

import { existsSync, readdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  castFloat,
  type DType,
  dtypeSize,
  isFloat,
  LlavaError,
  rejectUnknownKeys,
  sizeOf,
  tensorBytes,
  throwIfAborted,
} from '../core/index.ts';
import { emitOnnx, type Graph, type OnnxModel } from '../graph/index.ts';
import { TOKENIZER_FILES } from '../processor/index.ts';
import {
  findFile,
  readPieces,
  saveFolderAtomic,
  tokenizerFolder,
  type WeightEntry,
  writeFileAtomic,
} from '../weights/index.ts';
import { type ModelFolder, modelGraphs, paramSources } from './model-folder.ts';
import { MANIFEST, manifestJson, readmeText } from './onnx-manifest.ts';

/**
 * Type of the float weights in the files: as the checkpoint has them, or rounded to one. The computation is f32 in any case;
 * weights that are whole numbers stay what they are.
 */
export type OnnxStorage = 'stored' | 'f32' | 'f16';

/** How a model is written. */
export interface OnnxExportOptions {
  /** Default 'stored'. */
  readonly storage?: OnnxStorage;
  /** Told after each piece: bytes of weights written, of all. */
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  /** Gives up; nothing is left of the new folder. */
  readonly signal?: AbortSignal;
}

const STORAGES: readonly OnnxStorage[] = ['stored', 'f32', 'f16'];

/** Weights begin at multiples of a page, so that they can be mapped. */
const ALIGNMENT = 4096;
/** Elements copied at once. */
const PIECE = 2 ** 22;

/** Small files of a model folder that whoever runs the model needs. */
const COPIED = [
  ...['config.json', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json'],
  ...['chat_template.json', 'chat_template.jinja'],
];

/** One weight's place in a `.data` file. */
interface Placement {
  readonly entry: WeightEntry;
  readonly dtype: DType;
  readonly offset: number;
  readonly byteLength: number;
}

/** An ONNX file with its data file, before it is written. */
interface Part {
  /** File name less `.onnx`. */
  readonly name: string;
  readonly model: OnnxModel;
  readonly placements: readonly Placement[];
}

/**
 * Writes `folder` as ONNX files into `target`, a new or empty folder or an earlier export, all or nothing.
 * @throws LlavaError when weights are missing or wrong, `target` holds something else, or the disk is full
 */
export async function exportOnnx(folder: ModelFolder, target: string, options: OnnxExportOptions = {}): Promise<void> {
  const { storage = 'stored', onProgress, signal } = options;
  rejectUnknownKeys('options', options, ['storage', 'onProgress', 'signal']);
  if (!STORAGES.includes(storage)) {
    throw new LlavaError(`option storage: expected ${STORAGES.join(', ')}, got ${JSON.stringify(storage)}`);
  }
  throwIfAborted(signal, `export ${folder.folder}`);
  refuseUnlessExport(target);
  const parts = planParts(folder, storage);
  const totalBytes = parts.flatMap(({ placements }) => placements).reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  const onPiece = (bytes: number) => {
    throwIfAborted(signal, `export ${folder.folder}`);
    done += bytes;
    onProgress?.(done, totalBytes);
  };
  await saveFolderAtomic(target, async temporary => {
    for (const part of parts) await writePart(temporary, part, onPiece);
    await writeCompanions(temporary, folder, parts);
  });
}

/** A folder is replaced as a whole: what is not an export is not ours to remove. */
function refuseUnlessExport(target: string): void {
  const path = resolve(target);
  const names = existsSync(path) ? namesIn(path) : [];
  if (names.length === 0 || names.includes(MANIFEST)) return;
  throw new LlavaError(`${path}: expected a new or empty folder or an earlier export, got one with ${names[0]}`);
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    throw new LlavaError(`${path}: expected a folder to save into, got ${(error as NodeJS.ErrnoException).code}`);
  }
}

function planParts(folder: ModelFolder, storage: OnnxStorage): Part[] {
  const { decoder, vision } = modelGraphs(folder);
  const graphs = vision ? { vision, decoder } : { decoder };
  paramSources(folder, Object.values(graphs)); // finds what is missing or misshapen before anything is written
  return Object.entries(graphs).map(([name, graph]) => planPart(name, graph, folder, storage));
}

function planPart(name: string, graph: Graph, { weights }: ModelFolder, storage: OnnxStorage): Part {
  const placements = new Map<string, Placement>();
  let end = 0;
  for (const param of graph.params) {
    const entry = weights.get(param.name)!;
    const dtype = storedType(entry, param.dtype, storage);
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const byteLength = sizeOf(entry.shape) * dtypeSize(dtype);
    placements.set(param.name, { entry, dtype, offset, byteLength });
    end = offset + byteLength;
  }
  const location = `${name}.onnx.data`;
  const model = emitOnnx(graph, param => ({ kind: 'beside', location, ...placements.get(param.name)! }));
  return { name, model, placements: [...placements.values()] };
}

function storedType({ dtype, file, name }: WeightEntry, wanted: DType, storage: OnnxStorage): DType {
  if (isFloat(wanted) && isFloat(dtype)) return storage === 'stored' ? dtype : storage;
  if (dtype === wanted) return dtype;
  throw new LlavaError(`${file}: expected ${wanted} weights, got ${name} of type ${dtype}`);
}

async function writePart(folder: string, part: Part, onPiece: (bytes: number) => void): Promise<void> {
  await writeFileAtomic(join(folder, `${part.name}.onnx.data`), async write => {
    let position = 0;
    for (const placement of part.placements) {
      if (placement.offset > position) await write(new Uint8Array(placement.offset - position));
      for (const piece of convertedPieces(placement)) {
        await write(piece);
        onPiece(piece.length);
      }
      position = placement.offset + placement.byteLength;
    }
  });
  await writeFileAtomic(join(folder, `${part.name}.onnx`), part.model.bytes);
}

function* convertedPieces({ entry, dtype }: Placement): Generator<Uint8Array> {
  const target = dtype === 'f32' || dtype === 'f16' ? dtype : undefined;
  for (const piece of readPieces(entry, PIECE)) yield tensorBytes(target ? castFloat(piece, target) : piece);
}

async function writeCompanions(folder: string, model: ModelFolder, parts: readonly Part[]): Promise<void> {
  const { folders } = model;
  // A tokenizer's files belong together: all from one folder.
  const tokenizer = folders.length > 0 ? [tokenizerFolder(folders)] : [];
  const found = [
    ...COPIED.map(name => findFile(name, folders)),
    ...TOKENIZER_FILES.map(name => findFile(name, tokenizer)),
  ].filter(file => file !== undefined);
  for (const file of found) await copyFile(file, join(folder, basename(file)));
  const models = Object.fromEntries(parts.map(part => [part.name, part.model]));
  await writeFileAtomic(join(folder, MANIFEST), manifestJson(model, models));
  await writeFileAtomic(join(folder, 'README.md'), readmeText(model, models));
}
