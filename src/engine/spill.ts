/**
 * @file Computed weights on their way into ONNX Runtime. Few go with the model's own bytes; those of a whole language model
 * would not fit, a model's bytes are limited to 2 GiB. They are written to a temporary file, one at a time, which ONNX Runtime
 * maps like any other: memory holds them once.
 */

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, dtypeSize, sizeOf, throwIfAborted } from '../core/index.ts';
import {
  entrySource,
  isAlive,
  isStored,
  openSafetensors,
  type WeightEntry,
  writeSafetensors,
} from '../weights/index.ts';

/** Most bytes of computed weights that go with the model's own. */
const MAX_INLINE_BYTES = 2 ** 28;

/** Weights that a runtime can take. Dispose it when it has. */
export interface SpilledWeights extends AsyncDisposable {
  readonly weights: ReadonlyMap<string, WeightEntry>;
}

/**
 * The same weights, those of `names` that are computed put into a temporary file when they are large.
 * @param options.maxInlineBytes how large they may be without. Default 256 MiB.
 */
export async function spillComputed(
  weights: ReadonlyMap<string, WeightEntry>,
  names: Iterable<string>,
  { maxInlineBytes = MAX_INLINE_BYTES, signal }: { maxInlineBytes?: number; signal?: AbortSignal | undefined } = {},
): Promise<SpilledWeights> {
  const computed = Array.from(names).filter(name => !isStored(weights.get(name)!));
  const bytes = computed.reduce((sum, name) => sum + bytesOf(weights.get(name)!), 0);
  if (bytes <= maxInlineBytes) return { weights, [Symbol.asyncDispose]: async () => {} };
  const parent = join(cacheFolder(), 'computed');
  await mkdir(parent, { recursive: true });
  await removeLeftovers(parent);
  const folder = await mkdtemp(join(parent, `${process.pid}-`));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const file = join(folder, 'computed.safetensors');
    await writeSafetensors(
      file,
      computed.map(name => abortable(name, weights.get(name)!, signal)),
    );
    return { weights: new Map([...weights, ...openSafetensors(file).entries]), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Of processes that were killed before they could. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!isAlive(Number.parseInt(name, 10))) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function bytesOf({ dtype, shape }: WeightEntry): number {
  return sizeOf(shape) * dtypeSize(dtype);
}

function abortable(name: string, entry: WeightEntry, signal: AbortSignal | undefined) {
  const source = entrySource(entry, name);
  return {
    ...source,
    read: () => {
      throwIfAborted(signal, 'load');
      return source.read();
    },
  };
}
