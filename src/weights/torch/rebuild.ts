/**
 * @file What the names in torch's pickles mean: storages, tensors that are views of them, and ordered dicts. Source:
 * `torch/_utils.py` (the `_rebuild_*` functions), `torch/serialization.py` (persistent ids).
 */

import { type DType, dtypeSize } from '../../core/index.ts';
import { quoteName } from '../files.ts';
import { kindOf, PickleError, type PickleGlobal, type PickleHooks } from './pickle.ts';

/** A piece of a file that tensors are views of, as a pickle describes it: `elements` of `dtype` from element `start` on. */
export interface TorchStorage {
  /** Name in the file. */
  readonly key: string;
  /** Undefined for bytes without a type. */
  readonly dtype: DType | undefined;
  readonly start: number;
  readonly elements: number;
}

/** A view: element [i, j, …] is element `offset + i·strides[0] + j·strides[1] + …` of the storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(
    storage: TorchStorage,
    dtype: DType,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.dtype = dtype;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** Classes in the module torch; each holds elements of one type. */
const STORAGES = {
  DoubleStorage: 'f64',
  FloatStorage: 'f32',
  HalfStorage: 'f16',
  BFloat16Storage: 'bf16',
  LongStorage: 'i64',
  IntStorage: 'i32',
  ShortStorage: 'i16',
  CharStorage: 'i8',
  ByteStorage: 'u8',
  BoolStorage: 'bool',
} as const satisfies Record<string, DType>;

/** Storage class of a dtype; torch has none for the wider unsigned integers. */
export const STORAGE_NAMES: ReadonlyMap<DType, string> = new Map(
  Object.entries(STORAGES).map(([name, dtype]) => [dtype, name]),
);

const DTYPES = {
  float64: 'f64',
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  int64: 'i64',
  int32: 'i32',
  int16: 'i16',
  int8: 'i8',
  uint64: 'u64',
  uint32: 'u32',
  uint16: 'u16',
  uint8: 'u8',
  bool: 'bool',
} as const satisfies Record<string, DType>;

/** A name that stands for an element type. */
interface TypeGlobal extends PickleGlobal {
  readonly storage?: true;
  /** Undefined for an untyped storage. */
  readonly dtype?: DType;
}

/** Elements that a view may have although its storage has fewer: it says the same ones over and over. */
const MAX_REPEATED = 2 ** 24;
const MAX_RANK = 64;

const GLOBALS: ReadonlyMap<string, TypeGlobal> = new Map<string, TypeGlobal>(
  [
    ...Object.entries(STORAGES).map(([name, dtype]): TypeGlobal => ({ global: `torch.${name}`, storage: true, dtype })),
    ...Object.entries(DTYPES).map(([name, dtype]): TypeGlobal => ({ global: `torch.${name}`, dtype })),
    { global: 'torch.storage.UntypedStorage', storage: true } as const,
    { global: 'torch.Size', call: ([sizes]: readonly unknown[]) => readSizes(sizes, 'a size') },
    { global: 'collections.OrderedDict', call: orderedDict },
    { global: 'torch._utils._rebuild_tensor', call: rebuildTyped },
    { global: 'torch._utils._rebuild_tensor_v2', call: rebuildTyped },
    { global: 'torch._utils._rebuild_tensor_v3', call: rebuildUntyped },
    { global: 'torch._utils._rebuild_parameter', call: ([data]: readonly unknown[]) => checkTensor(data) },
  ].map(global => [global.global, global]),
);

/** The hooks of torch's pickles. */
export const TORCH_HOOKS: PickleHooks = {
  global(module, name) {
    const known = GLOBALS.get(`${module}.${name}`);
    if (known) return known;
    throw new PickleError('tensors and plain containers only', `the name ${quoteName(`${module}.${name}`)}`);
  },
  persistent: readStorage,
};

/** `('storage', class, key, device, elements)`, and in old files `None` or `(key of the view, start, elements)`. */
function readStorage(id: unknown): TorchStorage {
  const [kind, type, key, , elements, view] = Array.isArray(id) ? (id as unknown[]) : [];
  if (kind !== 'storage' || !isStorageType(type) || typeof key !== 'string') {
    throw new PickleError('a storage with class and key', kindOf(kind));
  }
  const whole = { key, dtype: type.dtype, start: 0, elements: readCount(elements, 'elements of a storage') };
  if (view === undefined || view === null) return whole;
  const [, start, length] = Array.isArray(view) ? (view as unknown[]) : [];
  return {
    ...whole,
    start: readCount(start, "start of a storage's view"),
    elements: readCount(length, 'its elements'),
  };
}

function isStorageType(value: unknown): value is TypeGlobal {
  return typeof value === 'object' && value !== null && (value as TypeGlobal).storage === true;
}

/** `(storage, offset, size, stride, …)`; the rest is about gradients. */
function rebuildTyped([storage, offset, shape, strides]: readonly unknown[]): TorchTensor {
  const { dtype } = checkStorage(storage);
  if (!dtype) throw new PickleError('a storage that has a type', 'an untyped one');
  return makeView(storage as TorchStorage, dtype, offset, shape, strides);
}

/** `(storage, offset, size, stride, requires_grad, hooks, dtype, …)` over a storage of bytes. */
function rebuildUntyped([storage, offset, shape, strides, , , type]: readonly unknown[]): TorchTensor {
  const bytes = checkStorage(storage);
  const dtype = (type as TypeGlobal | undefined)?.dtype;
  if (!dtype) throw new PickleError('a type of elements', kindOf(type));
  const typed = { ...bytes, dtype, elements: Math.floor(bytes.elements / dtypeSize(dtype)) };
  if (bytes.dtype === undefined) return makeView(typed, dtype, offset, shape, strides);
  throw new PickleError('an untyped storage', `one of ${bytes.dtype}`);
}

function makeView(storage: TorchStorage, dtype: DType, at: unknown, size: unknown, stride: unknown): TorchTensor {
  const offset = readCount(at, 'offset of a tensor');
  const shape = readSizes(size, 'a size');
  const strides = readSizes(stride, 'a stride');
  if (shape.length !== strides.length) {
    throw new PickleError(`a stride for each of ${shape.length} sizes`, `${strides.length}`);
  }
  // Of an empty tensor too the other sizes must make sense.
  const elements = shape.reduce((product, dim) => product * Math.max(1, dim), 1);
  const last = shape.reduce((sum, dim, i) => sum + (dim - 1) * strides[i]!, offset);
  const end = shape.includes(0) ? offset : last + 1;
  if (end > storage.elements || elements > Math.max(storage.elements, MAX_REPEATED)) {
    const got = `[${shape}] with strides [${strides}] from ${offset} on`;
    throw new PickleError(`a tensor within the ${storage.elements} elements of storage ${quoteName(storage.key)}`, got);
  }
  return new TorchTensor(storage, dtype, offset, shape, strides);
}

function checkStorage(value: unknown): TorchStorage {
  const isStorage = typeof value === 'object' && value !== null && 'key' in value && 'elements' in value;
  if (isStorage) return value as TorchStorage;
  throw new PickleError('a storage', kindOf(value));
}

function checkTensor(value: unknown): TorchTensor {
  if (value instanceof TorchTensor) return value;
  throw new PickleError('a tensor', kindOf(value));
}

function readSizes(value: unknown, what: string): readonly number[] {
  if (!Array.isArray(value) || value.length > MAX_RANK) {
    throw new PickleError(`${what} of at most ${MAX_RANK} numbers`, kindOf(value));
  }
  return value.map(item => readCount(item, `number in ${what}`));
}

function readCount(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new PickleError(`a whole ${what} from 0 to 2^53-1`, kindOf(value));
}

/** Torch makes them empty and then sets their items. */
function orderedDict(args: readonly unknown[]): Map<unknown, unknown> {
  if (args.length === 0) return new Map();
  throw new PickleError('an ordered dict that starts empty', kindOf(args[0]));
}
