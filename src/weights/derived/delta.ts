/**
 * @file Delta checkpoints: LLaVA v0 and v1 were published as differences to LLaMA, whose licence did not allow more. A
 * delta is a whole folder; each tensor plus the base's of that name is the model's (rule: `llava/model/apply_delta.py`).
 * Tokens were added at the end, so embeddings and head may have more rows than the base's; the projector is not in a base.
 */

import { castFloat, type DType, type HostTensor, hostTensor, LlavaError, sizeOf, toFloat32 } from '../../core/index.ts';
import { listNames } from '../files.ts';
import { type WeightStore, weightStore } from '../sharded.ts';
import { readTensor, storedBytes, type WeightEntry } from '../tensor-entry.ts';

const PROJECTOR = /(^|\.)mm_projector\./;
const MAY_HAVE_MORE_ROWS = /(^|\.)(embed_tokens|lm_head)\.weight$/;
/** Weights of norms, which lie around a constant in a model and around 0 in a delta. */
const NORM = /(^|\.)norm\.weight$/;
const MAX_NORM_RATIO = 0.5;

/**
 * The model that `delta` stands for, each tensor in the delta's dtype, computed when it is asked for.
 * @throws LlavaError when the two do not fit, listing all that does not, and when `delta` is whole weights
 */
export function applyDelta(delta: WeightStore, base: WeightStore): WeightStore {
  const weights = combine(delta, base, 1);
  refuseWholeWeights(delta, base);
  return weights;
}

/** The delta that {@link applyDelta} turns into `target`, up to rounding. */
export function makeDelta(target: WeightStore, base: WeightStore): WeightStore {
  return combine(target, base, -1);
}

function combine(store: WeightStore, base: WeightStore, sign: 1 | -1): WeightStore {
  const faults = [...store.entries.values()].flatMap(entry => mismatch(entry, base.entries.get(entry.name)));
  if (faults.length > 0) {
    throw new LlavaError(`${store.folder}: expected the weights of the base ${base.folder}, got ${faults.join('; ')}`);
  }
  const entries = Array.from(store.entries.values(), entry => {
    const other = base.entries.get(entry.name);
    return [entry.name, other ? combined(entry, other, sign) : entry] as const;
  });
  return weightStore(store.folder, new Map(entries), store.metadata);
}

function mismatch(entry: WeightEntry, base: WeightEntry | undefined): string[] {
  const { name, shape } = entry;
  if (!base) return PROJECTOR.test(name) ? [] : [`${listNames([name])}, which it has not`];
  for (const { dtype } of [entry, base]) if (!isSummable(dtype)) return [`${name} of type ${dtype}`];
  const [rows = 0, ...columns] = shape;
  const [baseRows = 0, ...baseColumns] = base.shape;
  const isLonger = MAY_HAVE_MORE_ROWS.test(name) && rows > baseRows && String(columns) === String(baseColumns);
  return isLonger || String(shape) === String(base.shape) ? [] : [`${name} [${shape}], in the base [${base.shape}]`];
}

function isSummable(dtype: DType): dtype is 'f32' | 'f16' | 'bf16' {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}

/** `entry ± base`, the base rounded to the dtype first, as loading both in it does. */
function combined(entry: WeightEntry, base: WeightEntry, sign: 1 | -1): WeightEntry {
  const { name, shape, file } = entry;
  const dtype = entry.dtype as 'f32' | 'f16' | 'bf16';
  const compute = (): HostTensor => {
    const values = new Float32Array(toFloat32(readTensor(entry)));
    const added = toFloat32(castFloat(readTensor(base), dtype));
    for (let i = 0; i < added.length; i++) values[i] = values[i]! + sign * added[i]!;
    return castFloat(hostTensor('f32', shape, values), dtype);
  };
  return { name, dtype, shape, file, storedBytes: storedBytes(entry), compute };
}

function refuseWholeWeights(delta: WeightStore, base: WeightStore): void {
  for (const [name, entry] of delta.entries) {
    const other = base.entries.get(name);
    if (!other || !NORM.test(name)) continue;
    if (meanMagnitude(entry) <= MAX_NORM_RATIO * meanMagnitude(other)) continue;
    throw new LlavaError(
      `${delta.folder}: expected differences to the base ${base.folder}, got whole weights, which need no base`,
    );
  }
}

function meanMagnitude(entry: WeightEntry): number {
  const values = toFloat32(readTensor(entry));
  return values.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, sizeOf(entry.shape));
}
