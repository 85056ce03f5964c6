/**
 * @file How the inputs of a layer go together: the triangle M with M·Mᵀ = Xᵀ·X of the rows X that it reads. An error of the
 * weights E costs |E·M|², so compensate.ts sees what the rounding of one input's weights can do about that of another. The inputs
 * of wide layers are cut into spans, and what goes together across spans is left out. Shapes: R rows, K inputs, S inputs of a span.
 */

import { f32Tensor, type HostTensor, sizeOf, toFloat32 } from '../../core/index.ts';
import { buildGraph, dim, emitOnnx, input, matMul } from '../../graph/index.ts';
import { compile, type Executable } from '../../runtime/index.ts';

/** The triangle of a span of inputs. */
export interface RootSpan {
  readonly start: number;
  readonly size: number;
  /** The columns of M one after another, each down to its diagonal: column c begins at c(c + 1)/2. */
  readonly columns: Float32Array;
}

/** Most inputs of a span. */
export const MAX_SPAN = 1024;
/** Spans are whole groups of this many inputs. */
const GROUP = 32;
/** Added to every input's sum of squares, of their mean, so that an input that is always 0 has one. */
const DAMPING = 1e-4;

/** Computes Xᵀ·X in ONNX Runtime. Dispose it when done. */
export class InputRoots implements Disposable {
  readonly #executable: Executable;

  private constructor(executable: Executable) {
    this.#executable = executable;
  }

  static async create(): Promise<InputRoots> {
    const rows = input('rows', 'f32', [dim('R'), dim('S')]);
    const graph = buildGraph({ gram: matMul(rows, rows, { transA: true }) });
    return new InputRoots(await compile(emitOnnx(graph), { name: 'products of inputs', spinning: false }));
  }

  /**
   * The triangles of rows [..., K], each input divided by its factor, each row in units of its own root mean square: some rows
   * are a thousand times as large as others, and would be all that counts.
   */
  async of(tensors: readonly HostTensor[], factors?: Float32Array, span = MAX_SPAN): Promise<RootSpan[]> {
    const inputs = tensors[0]!.shape.at(-1)!;
    const spans: RootSpan[] = [];
    for (const [start, end] of spansOf(inputs, span)) {
      const rows = columnsOf(tensors, start, end, factors);
      const { gram } = await this.#executable.run({ rows });
      const shrinkage = (end - start) / (end - start + rows.shape[0]!);
      const columns = triangleOf(gram!.read().data as Float32Array, end - start, shrinkage);
      gram!.dispose();
      spans.push({ start, size: end - start, columns });
    }
    return spans;
  }

  [Symbol.dispose](): void {
    this.#executable.dispose();
  }
}

/** Spans [start, end) of at most `span` inputs, about equally large. */
function spansOf(inputs: number, span: number): [start: number, end: number][] {
  const size = Math.ceil(inputs / Math.ceil(inputs / span) / GROUP) * GROUP;
  return Array.from({ length: Math.ceil(inputs / size) }, (_, i) => [i * size, Math.min((i + 1) * size, inputs)]);
}

/** Inputs start … end of all rows, [R, S], in units of each row's size. */
function columnsOf(tensors: readonly HostTensor[], start: number, end: number, factors?: Float32Array): HostTensor {
  const width = tensors[0]!.shape.at(-1)!;
  const count = tensors.reduce((sum, { shape }) => sum + sizeOf(shape) / width, 0);
  const rows = new Float32Array(count * (end - start));
  let at = 0;
  for (const tensor of tensors) {
    const data = toFloat32(tensor);
    for (let row = 0; row < data.length; row += width) {
      const inverse = inverseSize(data.subarray(row, row + width));
      for (let k = start; k < end; k++) rows[at++] = (data[row + k]! * inverse) / (factors?.[k] ?? 1);
    }
  }
  return f32Tensor([count, end - start], rows);
}

/** 1 over the root mean square, 0 for 0. */
export function inverseSize(row: Float32Array): number {
  let square = 0;
  for (const value of row) square += value * value;
  return square > 0 ? Math.sqrt(row.length / square) : 0;
}

/**
 * M of a matrix [S, S], column after column from the last: m = h / √h_cc, and what is left to the columns before it, H − m·mᵀ.
 * All in the lower half of H, whose row c becomes column c.
 * @param shrinkage part of what goes together that is not believed: of R rows S/(S + R), since few rows show much that is chance.
 *   Without it the rounding fits the samples, and loses on other texts what it gains on them.
 */
export function triangleOf(gram: Float32Array, size: number, shrinkage: number): Float32Array {
  const half = shrunkHalf(gram, size, 1 - shrinkage);
  for (let c = size - 1; c >= 0; c--) {
    const from = (c * (c + 1)) / 2;
    const inverse = 1 / Math.sqrt(half[from + c]!);
    for (let j = 0; j <= c; j++) half[from + j]! *= inverse;
    for (let i = 0, to = 0; i < c; to += ++i) {
      const factor = half[from + i]!;
      if (factor !== 0) for (let j = 0; j <= i; j++) half[to + j]! -= factor * half[from + j]!;
    }
  }
  return Float32Array.from(half);
}

/** The lower half, row after row, times `part` but for the diagonal. */
function shrunkHalf(gram: Float32Array, size: number, part: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i]!;
  const damping = (DAMPING * trace) / size || 1;
  const half = new Float64Array((size * (size + 1)) / 2);
  for (let i = 0, at = 0; i < size; i++) {
    for (let j = 0; j < i; j++) half[at++] = gram[i * size + j]! * part;
    half[at++] = gram[i * (size + 1)]! + damping;
  }
  return half;
}
