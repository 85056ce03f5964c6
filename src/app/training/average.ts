/** @file The average of models that were trained from the same start: it often names better what none of them was shown. */

import { castFloat, f32Tensor, type HostTensor, LlavaError, toFloat32 } from '../../core/index.ts';
import { copyOtherFiles } from '../../engine/index.ts';
import {
  openWeights,
  readTensor,
  saveFolderAtomic,
  saveWeights,
  tensorSource,
  type WeightEntry,
} from '../../weights/index.ts';

/**
 * Writes `folder`: weights that are the means of those of `parts`, and the other files of the first (model soup, Wortsman et al.
 * 2022). Weights have the type of the first's.
 * @throws LlavaError when the parts have different weights
 */
export async function saveAverage(folder: string, parts: readonly string[]): Promise<void> {
  const opened = parts.map(part => openWeights(part).entries);
  const [first] = opened;
  await saveFolderAtomic(folder, async temporary => {
    await copyOtherFiles(parts[0]!, temporary);
    await saveWeights(
      temporary,
      Array.from(first!.keys(), name =>
        tensorSource(name, mean(opened.map((entries, i) => entry(entries, name, first!.get(name)!.shape, parts[i]!)))),
      ),
    );
  });
}

/** The weight `name`, which must be like the first part's. */
function entry(
  entries: ReadonlyMap<string, WeightEntry>,
  name: string,
  shape: readonly number[],
  folder: string,
): WeightEntry {
  const found = entries.get(name);
  if (found?.shape.join() === shape.join()) return found;
  throw new LlavaError(`${folder}: expected ${name} of shape [${shape}], got ${found ? `[${found.shape}]` : 'none'}`);
}

/** Sums are of 64 bits: the mean of equal values is that value. */
function mean(entries: readonly WeightEntry[]): HostTensor {
  const [{ shape }] = entries as [WeightEntry];
  const tensors = entries.map(readTensor);
  const values = tensors.map(toFloat32);
  const out = values[0]!.map((_, i) => values.reduce((sum, part) => sum + part[i]!, 0) / values.length);
  return castFloat(f32Tensor(shape, out), tensors[0]!.dtype as 'f32' | 'f16' | 'bf16');
}
