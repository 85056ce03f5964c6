import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, type HostTensor, tensorBytes } from '../../../src/core/index.ts';

export { refusal, rejection, temporaryFile, temporaryFolder } from '../weights/helpers.ts';

export const GOLDEN = join(import.meta.dirname, '../../golden/torch');

/** A tensor as Python saw it; `dtype` under torch's name, `hex` row by row. */
export interface SeenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly hex: string;
}

/** Element types as torch names them. */
export const TORCH_DTYPES: Readonly<Record<DType, string>> = {
  f64: 'float64',
  f32: 'float32',
  f16: 'float16',
  bf16: 'bfloat16',
  i64: 'int64',
  i32: 'int32',
  i16: 'int16',
  i8: 'int8',
  u64: 'uint64',
  u32: 'uint32',
  u16: 'uint16',
  u8: 'uint8',
  bool: 'bool',
};

export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(join(GOLDEN, name), 'utf8')) as T;
}

/** A tensor in the words of the goldens. */
export function describeTensor(tensor: HostTensor): SeenTensor {
  const hex = Buffer.from(tensorBytes(tensor)).toString('hex');
  return { dtype: TORCH_DTYPES[tensor.dtype]!, shape: tensor.shape, hex };
}
