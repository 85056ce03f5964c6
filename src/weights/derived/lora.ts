/**
 * @file LoRA folders: `adapter_model` holds two thin matrices for some layers of a base, W becomes W + scale·B·A (A [rank, in],
 * B [out, rank]); `non_lora_trainables.bin` of LLaVA's trainer holds whatever else was trained, the projector above all,
 * and replaces or joins the base's tensors. Source of the names: peft's save_pretrained, and LLaVA's
 * `llava/model/builder.py`.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { castFloat, type HostTensor, hostTensor, isFloat, LlavaError, toFloat32 } from '../../core/index.ts';
import { writeFileAtomic } from '../atomic.ts';
import { listNames, makeFolders } from '../files.ts';
import { readJson } from '../json.ts';
import { openSafetensors, type TensorSource, writeSafetensors } from '../safetensors.ts';
import { type WeightStore, weightStore } from '../sharded.ts';
import { readTensor, storedBytes, type WeightEntry } from '../tensor-entry.ts';
import { openTorch } from '../torch/torch-file.ts';
import { writeTorch } from '../torch/torch-writer.ts';
import { baseNames } from './base-names.ts';
import { type LoraConfig, loraConfigJson, loraScale, parseLoraConfig } from './lora-config.ts';
import { addProduct } from './low-rank.ts';

/** File that makes a folder a LoRA folder. */
export const LORA_CONFIG = 'adapter_config.json';
const SAFETENSORS = 'adapter_model.safetensors';
const TORCH = 'adapter_model.bin';
const OTHERS = 'non_lora_trainables.bin';
const PREFIX = 'base_model.model.';
/** Most of the differences from a base that an error shows. */
const MAX_FAULTS = 10;

/** The two matrices of one layer. */
interface Adapter {
  readonly a: WeightEntry;
  readonly b: WeightEntry;
}

/** What a LoRA folder holds, by names of the model without an adapter. */
interface Lora {
  readonly config: LoraConfig;
  /** By name of the weight that it changes. */
  readonly adapters: ReadonlyMap<string, Adapter>;
  /** Tensors of the base that were trained whole. */
  readonly replaced: ReadonlyMap<string, WeightEntry>;
  /** The same of LLaVA's trainer, which may be new to the base. */
  readonly others: ReadonlyMap<string, WeightEntry>;
}

/** True for a folder with an adapter in it. */
export function isLoraFolder(folder: string): boolean {
  const has = (name: string): boolean => existsSync(join(folder, name));
  return has(LORA_CONFIG) && (has(SAFETENSORS) || has(TORCH));
}

/** The base that a LoRA folder says it was trained on. */
export function loraBase(folder: string): string | undefined {
  const path = join(folder, LORA_CONFIG);
  return parseLoraConfig(readJson(path), path).base;
}

/**
 * `base` with the adapter of `folder` merged in, each changed tensor in the base's dtype, computed when it is asked for.
 * @throws LlavaError when the adapter is of another base or of a kind that cannot be merged; what does not fit is listed
 */
export function applyLora(folder: string, base: WeightStore): WeightStore {
  const lora = readLora(folder);
  const nameOf = baseNames(base.entries.keys());
  const entries = new Map(base.entries);
  const faults: string[] = [];
  for (const [name, adapter] of lora.adapters) {
    const target = entries.get(nameOf(name) ?? '');
    const fault = target ? misfit(target, adapter, lora.config) : `an adapter of ${name}, which it has not`;
    if (fault === undefined) entries.set(target!.name, merged(target!, adapter, loraScale(lora.config)));
    else faults.push(fault);
  }
  for (const [name, entry] of lora.replaced) {
    const target = nameOf(name);
    if (target === undefined) faults.push(`${name}, which it has not`);
    else entries.set(target, { ...entry, name: target });
  }
  if (faults.length > 0) throw anotherBase(folder, base.folder, faults);
  for (const [name, entry] of lora.others) {
    const target = nameOf(name) ?? name;
    entries.set(target, { ...entry, name: target });
  }
  return weightStore(folder, entries, base.metadata);
}

function anotherBase(folder: string, base: string, faults: readonly string[]): LlavaError {
  const more = faults.length > MAX_FAULTS ? ` and ${faults.length - MAX_FAULTS} more` : '';
  const got = listNames([faults.slice(0, MAX_FAULTS).join('; ')]);
  return new LlavaError(`${folder}: expected an adapter of the base ${base}, got ${got}${more}`);
}

function readLora(folder: string): Lora {
  const configFile = join(folder, LORA_CONFIG);
  const config = parseLoraConfig(readJson(configFile), configFile);
  const isSafe = existsSync(join(folder, SAFETENSORS));
  const file = join(folder, isSafe ? SAFETENSORS : TORCH);
  const halves = new Map<string, Partial<Adapter>>();
  const replaced = new Map<string, WeightEntry>();
  for (const [name, entry] of isSafe ? openSafetensors(file).entries : openTorch(file)) {
    const plain = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
    const [, module, side] = /^(.*)\.lora_([AB])(?:\.default)?\.weight$/.exec(plain) ?? [];
    if (module === undefined) replaced.set(plain.replace(/\.modules_to_save(\.default)?(?=\.)/, ''), entry);
    else halves.set(`${module}.weight`, { ...halves.get(`${module}.weight`), [side === 'A' ? 'a' : 'b']: entry });
  }
  return { config, adapters: pairUp(halves, file), replaced, others: readOthers(folder) };
}

function pairUp(halves: ReadonlyMap<string, Partial<Adapter>>, file: string): Map<string, Adapter> {
  const pairs = new Map<string, Adapter>();
  for (const [name, { a, b }] of halves) {
    if (!a || !b) throw new LlavaError(`${file}: expected lora_A and lora_B for ${listNames([name])}, got one of them`);
    pairs.set(name, { a, b });
  }
  return pairs;
}

/** Without `base_model.`, and without one `model.` where that shows another below it. */
function readOthers(folder: string): Map<string, WeightEntry> {
  const file = join(folder, OTHERS);
  if (!existsSync(file)) return new Map();
  const stripped = Array.from(openTorch(file), ([name, entry]) => [name.replace(/^base_model\./, ''), entry] as const);
  const isNested = stripped.some(([name]) => name.startsWith('model.model.'));
  return new Map(stripped.map(([name, entry]) => [isNested ? name.replace(/^model\./, '') : name, entry]));
}

/** What keeps an adapter from its weight. */
function misfit({ name, dtype, shape }: WeightEntry, { a, b }: Adapter, { rank }: LoraConfig): string | undefined {
  const [rows = 0, columns = 0] = shape;
  const isFit = shape.length === 2 && isShape(a, rank, columns) && isShape(b, rows, rank);
  if (!isFit) return `an adapter [${b.shape}] · [${a.shape}] of rank ${rank} for ${name} [${shape}]`;
  const strange = [dtype, a.dtype, b.dtype].find(type => !isFloat(type) || type === 'f64');
  return strange && `${name} of type ${strange}`;
}

function isShape({ shape }: WeightEntry, rows: number, columns: number): boolean {
  return shape.length === 2 && shape[0] === rows && shape[1] === columns;
}

function merged(target: WeightEntry, { a, b }: Adapter, scale: number): WeightEntry {
  const { name, shape, file } = target;
  const dtype = target.dtype as 'f32' | 'f16' | 'bf16';
  const compute = (): HostTensor => {
    const values = new Float32Array(toFloat32(readTensor(target)));
    const [rank = 0, columns = 0] = a.shape;
    addProduct(values, toFloat32(readTensor(b)), toFloat32(readTensor(a)), { rank, columns, scale });
    return castFloat(hostTensor('f32', shape, values), dtype);
  };
  return { name, dtype, shape, file, storedBytes: storedBytes(target) + storedBytes(a) + storedBytes(b), compute };
}

/** What {@link saveLora} writes. Names are those of the model without an adapter. */
export interface LoraContent {
  readonly config: LoraConfig;
  /** A [rank, in] and B [out, rank] by name of the layer, such as `model.layers.0.self_attn.q_proj`. */
  readonly adapters: ReadonlyMap<string, { readonly a: TensorSource; readonly b: TensorSource }>;
  /** What else was trained, such as `model.mm_projector.0.weight`. */
  readonly others: Iterable<TensorSource>;
}

/** Writes the files of a LoRA folder, as LLaVA's trainer does, into an existing or new folder; `config.json` is the caller's. */
export async function saveLora(folder: string, { config, adapters, others }: LoraContent): Promise<void> {
  await makeFolders(folder);
  const matrices = [...adapters].flatMap(([name, { a, b }]) => [
    { ...a, name: `${PREFIX}${name}.lora_A.weight` },
    { ...b, name: `${PREFIX}${name}.lora_B.weight` },
  ]);
  await writeSafetensors(join(folder, SAFETENSORS), matrices, { metadata: { format: 'pt' } });
  const trained = Array.from(others, source => ({ ...source, name: `${PREFIX}${source.name}` }));
  await writeTorch(join(folder, OTHERS), trained);
  await writeFileAtomic(join(folder, LORA_CONFIG), `${JSON.stringify(loraConfigJson(config), null, 2)}\n`);
}
