/** @file Agreement of a checkpoint's tensors with those that a model expects: one error lists every difference. */

import { LlavaError } from '../core/index.ts';
import { listNames } from './files.ts';

/** A tensor that a model needs. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The part of a {@link TensorEntry} or a HostTensor that is compared. */
interface Shaped {
  readonly shape: readonly number[];
}

/**
 * Checks that `found` has exactly the expected tensors with their shapes.
 * @param where names the checkpoint in the error: its folder or file
 * @param options.ignore names that may be present without being expected, such as buffers of old exporters
 * @throws LlavaError that lists all missing, unexpected and wrongly shaped tensors
 */
export function checkTensors(
  where: string,
  found: ReadonlyMap<string, Shaped>,
  expected: Iterable<ExpectedTensor>,
  { ignore = [] }: { readonly ignore?: readonly RegExp[] } = {},
): void {
  const wanted = new Map(Array.from(expected, tensor => [tensor.name, tensor.shape]));
  const missing = [...wanted.keys()].filter(name => !found.has(name));
  const extra = [...found.keys()].filter(
    name => !wanted.has(name) && !ignore.some(pattern => name.search(pattern) >= 0),
  );
  const misshapen = [...wanted].flatMap(([name, shape]) => describeShape(name, shape, found.get(name)?.shape));
  const faults = [
    ...(missing.length > 0 ? [`missing ${listNames(missing)}`] : []),
    ...(extra.length > 0 ? [`unexpected ${listNames(extra)}`] : []),
    ...misshapen,
  ];
  if (faults.length === 0) return;
  throw new LlavaError(
    `checkpoint ${where}: expected the ${wanted.size} tensors of the model, got: ${faults.join('; ')}`,
  );
}

function describeShape(name: string, want: readonly number[], got: readonly number[] | undefined): string[] {
  if (got === undefined || String(want) === String(got)) return [];
  return [`shape of ${name} expected [${want}], got [${got}]`];
}
