/** @file How far the product of rounded numbers, x̂·Ŵᵀ, is from that of the floats, x·Wᵀ: each row by its own size. */

import type { HostTensor } from '../../core/index.ts';
import { buildGraph, dim, emitOnnx, input, matMul, reduceSumSquare, sub } from '../../graph/index.ts';
import { compile, type Executable } from '../../runtime/index.ts';

/** A product: rows [R, K] and a matrix [N, K]. */
export interface Product {
  readonly rows: HostTensor;
  readonly matrix: HostTensor;
}

/** Computes the products in ONNX Runtime. Dispose it when done. */
export class ProductError implements Disposable {
  readonly #executable: Executable;

  private constructor(executable: Executable) {
    this.#executable = executable;
  }

  static async create(): Promise<ProductError> {
    const [rows, outputs, inputs] = [dim('R'), dim('N'), dim('K')];
    const product = (suffix: string) =>
      matMul(input(`rows${suffix}`, 'f32', [rows, inputs]), input(`matrix${suffix}`, 'f32', [outputs, inputs]), {
        transB: true,
      });
    const [exact, rounded] = [product(''), product('Rounded')];
    const graph = buildGraph({
      power: reduceSumSquare(exact, [1]),
      error: reduceSumSquare(sub(exact, rounded), [1]),
    });
    return new ProductError(await compile(emitOnnx(graph), { name: 'product error' }));
  }

  /** Root of the mean over rows of Σ error² / Σ product². */
  async relative(exact: Product, rounded: Product): Promise<number> {
    const feeds = {
      rows: exact.rows,
      matrix: exact.matrix,
      rowsRounded: rounded.rows,
      matrixRounded: rounded.matrix,
    };
    const { power, error } = await this.#executable.run(feeds);
    const [whole, part] = [power!, error!].map(tensor => tensor.read().data as Float32Array) as [
      Float32Array,
      Float32Array,
    ];
    power!.dispose();
    error!.dispose();
    const sum = part.reduce((total, value, row) => total + (whole[row]! > 0 ? value / whole[row]! : 0), 0);
    return Math.sqrt(sum / part.length);
  }

  [Symbol.dispose](): void {
    this.#executable.dispose();
  }
}
