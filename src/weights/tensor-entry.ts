/**
 * @file A tensor of a checkpoint before it is in memory. Stored: its bytes lie in a file as they are, so that a runtime can
 * map them itself. Computed: made when it is asked for, from what is stored: dequantised, merged, a transposed view.
 */

import {
  assert,
  type DType,
  dtypeSize,
  type HostTensor,
  hostTensor,
  LlavaError,
  sizeOf,
  tensorBytes,
} from '../core/index.ts';
import { readFully, withFile } from './files.ts';

/** Where a tensor lies on disk: `byteLength` bytes from `offset` of `file` (an absolute path), row-major, little-endian. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** A tensor that is made from what files hold. */
export interface ComputedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The file, or one of those, that it is made from, for errors. */
  readonly file: string;
  /** Bytes on disk that it is made from; bytes that several tensors share count for one of them. */
  readonly storedBytes: number;
  /** Makes it anew, with the dtype and shape above. Throws LlavaError when the files have gone or lie. */
  readonly compute: () => HostTensor;
}

/** A tensor of a checkpoint. */
export type WeightEntry = TensorEntry | ComputedTensor;

/** True for a tensor whose bytes can be mapped from its file. */
export function isStored(entry: WeightEntry): entry is TensorEntry {
  return !('compute' in entry);
}

/** Bytes on disk of a tensor. */
export function storedBytes(entry: WeightEntry): number {
  return isStored(entry) ? entry.byteLength : entry.storedBytes;
}

/**
 * Copies a tensor into memory, or makes it, whatever its size.
 * @throws LlavaError when the file has gone or has shrunk, or when memory has no room
 */
export function readTensor(entry: WeightEntry): HostTensor {
  return isStored(entry) ? readStored(entry) : computeTensor(entry);
}

/**
 * A tensor's elements in order, in flat pieces: of a stored one only a piece is in memory at a time.
 * @param maxElements of a piece
 */
export function* readPieces(entry: WeightEntry, maxElements: number): Generator<HostTensor> {
  const size = sizeOf(entry.shape);
  const whole = isStored(entry) ? undefined : computeTensor(entry);
  for (let begin = 0; begin < size; begin += maxElements) {
    const length = Math.min(maxElements, size - begin);
    if (whole) yield hostTensor(whole.dtype, [length], whole.data.subarray(begin, begin + length));
    else yield readStored(flatPart(entry as TensorEntry, begin, length));
  }
}

function flatPart(entry: TensorEntry, begin: number, length: number): TensorEntry {
  const width = dtypeSize(entry.dtype);
  return { ...entry, shape: [length], offset: entry.offset + begin * width, byteLength: length * width };
}

function readStored(entry: TensorEntry): HostTensor {
  return withFile(entry.file, 'a file of weights', file => {
    if (file.size < entry.offset + entry.byteLength) {
      const expected = `${entry.offset + entry.byteLength} bytes for tensor "${entry.name}"`;
      throw new LlavaError(`${entry.file}: expected ${expected}, got ${file.size}`);
    }
    const tensor = roomFor(entry, () => hostTensor(entry.dtype, entry.shape));
    readFully(file, tensorBytes(tensor), entry.offset);
    return tensor;
  });
}

function computeTensor(entry: ComputedTensor): HostTensor {
  const tensor = roomFor(entry, entry.compute);
  const same = tensor.dtype === entry.dtype && String(tensor.shape) === String(entry.shape);
  assert(same, `tensor "${entry.name}" of ${entry.file} is not what was declared`);
  return tensor;
}

/** The result of `make`; a failure to allocate is the user's to mend. */
function roomFor({ file, name, dtype, shape }: WeightEntry, make: () => HostTensor): HostTensor {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LlavaError(
      `${file}: expected memory for tensor "${name}", ${dtype} [${shape.join()}], got ${error.message}`,
    );
  }
}
