/**
 * @file Rounding in which each input's weights make up for the errors of those before it (Frantar et al. 2022, "GPTQ"). With the
 * triangle M of the inputs (input-root.ts) an output's weights w and their rounding ŵ differ by d = w − ŵ, which costs
 * Σ_c (Σ_{i≤c} d_i·M_ic)². So ŵ_c is what is nearest to w_c + Σ_{i<c} d_i·M_ic/M_cc, which leaves the least of the term c.
 * Within a group of inputs output by output; what earlier groups add comes from one product. Shapes: N outputs, K inputs,
 * S inputs of a span, T outputs that are rounded at once.
 */

import { f32Tensor, type HostTensor, toFloat32 } from '../../core/index.ts';
import { buildGraph, dim, emitOnnx, input, matMul } from '../../graph/index.ts';
import { BLOCK_SIZE, type WeightFormat } from '../../models/index.ts';
import { compile, type Executable } from '../../runtime/index.ts';
import { ByteRounder, type GroupRounder, NibbleRounder, RowRounder } from '../../weights/index.ts';
import type { Encoded } from './encode.ts';
import type { RootSpan } from './input-root.ts';

/** Forms whose codes can make up for one another's errors. Those of 16 bits have none to speak of. */
export const COMPENSATED_FORMATS: ReadonlySet<WeightFormat> = new Set(['w8a8', 'w8a16', 'int8', 'int4']);

/** Most outputs rounded at once: their differences are held for all inputs of a span. */
const TILE = 2048;

/** Rounds matrices with compensation, the products in ONNX Runtime. Dispose it when done. */
export class Compensation implements Disposable {
  readonly #executable: Executable;

  private constructor(executable: Executable) {
    this.#executable = executable;
  }

  static async create(): Promise<Compensation> {
    const span = dim('S');
    const differences = input('differences', 'f32', [dim('T'), span]);
    const ratios = input('ratios', 'f32', [dim('C'), span]);
    const graph = buildGraph({ added: matMul(differences, ratios, { transB: true }) });
    return new Compensation(await compile(emitOnnx(graph), { name: 'compensation', spinning: false }));
  }

  /** The matrix [N, K] in a form of {@link COMPENSATED_FORMATS}. */
  async encode(matrix: HostTensor, format: WeightFormat, root: readonly RootSpan[]): Promise<Encoded> {
    const [outputs, inputs] = matrix.shape as [number, number];
    const data = toFloat32(matrix);
    const rounder = rounderOf(matrix, format, root);
    for (const span of root) {
      for (let first = 0; first < outputs; first += TILE) {
        const tile = new Tile(data, inputs, span, [first, Math.min(first + TILE, outputs)]);
        for (let start = 0; start < span.size; start += BLOCK_SIZE) {
          const group = groupOf(span, start);
          tile.round(group, rounder, start === 0 ? undefined : await this.#added(group, tile));
        }
      }
    }
    return rounder.result;
  }

  /** [T, C]: what the differences of earlier groups add to the values of a group. */
  async #added({ size, earlier }: Group, { differences, outputs }: Tile): Promise<Float32Array> {
    const { added } = await this.#executable.run({
      differences: f32Tensor([outputs, differences.length / outputs], differences),
      ratios: f32Tensor([size, earlier.length / size], earlier),
    });
    const values = added!.read().data as Float32Array;
    added!.dispose();
    return values;
  }

  dispose(): void {
    this.#executable.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function rounderOf(matrix: HostTensor, format: WeightFormat, root: readonly RootSpan[]): GroupRounder {
  const shape = matrix.shape as [number, number];
  if (format === 'int4') return new NibbleRounder(shape, BLOCK_SIZE, importanceOf(root));
  return format === 'int8' ? new ByteRounder(shape, BLOCK_SIZE) : new RowRounder(matrix);
}

/** M_cc²: what is left of an error in each input when those after it have made up for it. */
function importanceOf(root: readonly RootSpan[]): Float32Array {
  return Float32Array.from(
    root.flatMap(({ size, columns }) => Array.from({ length: size }, (_, c) => columns[(c * (c + 3)) / 2]! ** 2)),
  );
}

/** Inputs of a span that are rounded together. */
interface Group {
  /** First of them within the span. */
  readonly start: number;
  readonly size: number;
  /** M_ic/M_cc by [c][i]: of the inputs before the group [C, S], others 0; */
  readonly earlier: Float32Array;
  /** of those within it [C, C], 0 from i = c on. */
  readonly own: Float32Array;
}

function groupOf({ size: all, columns }: RootSpan, start: number): Group {
  const size = Math.min(BLOCK_SIZE, all - start);
  const [earlier, own] = [new Float32Array(size * all), new Float32Array(size * size)];
  for (let c = 0; c < size; c++) {
    const from = ((start + c) * (start + c + 1)) / 2;
    const inverse = 1 / columns[from + start + c]!;
    for (let i = 0; i < start; i++) earlier[c * all + i] = columns[from + i]! * inverse;
    for (let i = 0; i < c; i++) own[c * size + i] = columns[from + start + i]! * inverse;
  }
  return { start, size, earlier, own };
}

/** Some outputs, and a span of their inputs. */
class Tile {
  readonly outputs: number;
  /** w − ŵ of the inputs that are rounded, of others 0, [T, S]. */
  readonly differences: Float32Array;
  readonly #data: Float32Array;
  readonly #inputs: number;
  readonly #span: RootSpan;
  readonly #first: number;

  constructor(data: Float32Array, inputs: number, span: RootSpan, [first, end]: readonly [number, number]) {
    this.outputs = end - first;
    this.differences = new Float32Array(span.size * this.outputs);
    this.#data = data;
    this.#inputs = inputs;
    this.#span = span;
    this.#first = first;
  }

  /**
   * First, as if nothing were rounded in this group, to choose its scales; then with what the rounding makes of it.
   * @param added [T, C]: what earlier groups add to the values, undefined for nothing
   */
  round({ start, size, own }: Group, rounder: GroupRounder, added: Float32Array | undefined): void {
    const [values, targets] = [new Float32Array(size), new Float32Array(size)];
    const [best, differences] = [new Float32Array(size), new Float32Array(size)];
    const column = this.#span.start + start;
    for (let n = 0; n < this.outputs; n++) {
      const from = (this.#first + n) * this.#inputs + column;
      for (let c = 0; c < size; c++) {
        values[c] = this.#data[from + c]!;
        targets[c] = values[c]! + (added ? added[n * size + c]! : 0);
      }
      for (let c = 0; c < size; c++) {
        best[c] = targets[c]! + sumBefore(own, differences, c);
        differences[c] = values[c]! - best[c]!;
      }
      rounder.begin(this.#first + n, column, best);
      for (let c = 0; c < size; c++) {
        const target = targets[c]! + sumBefore(own, differences, c);
        differences[c] = values[c]! - rounder.round(c, target);
      }
      this.differences.set(differences, n * this.#span.size + start);
    }
  }
}

/** Σ over i < c of M_ic/M_cc · d_i. */
function sumBefore(own: Float32Array, differences: Float32Array, c: number): number {
  let sum = 0;
  for (let i = 0, from = c * differences.length; i < c; i++) sum += own[from + i]! * differences[i]!;
  return sum;
}
