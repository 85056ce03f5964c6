/** @file Scale and zero code of a block of 4-bit codes, by least squared error. */

/** Parts of a block's range that its 16 codes may cover: what lies outside is cut off where the others gain more by it. */
const COVERS = [1.05, 1, 0.96, 0.93, 0.9, 0.87, 0.84, 0.81, 0.78];
const TOP = 15;

/** The best scale, zero and codes of one block after another. */
export class BlockFit {
  scale = 0;
  zero = 0;
  readonly codes: Uint8Array;
  readonly #data: Float32Array;
  readonly #importance: Float32Array;
  #product = 0;
  #square = 0;

  constructor(data: Float32Array, size: number, importance: Float32Array) {
    this.codes = new Uint8Array(size);
    this.#data = data;
    this.#importance = importance;
  }

  /** @param start of the block in the data, `column` in the importance */
  run(start: number, column: number): void {
    const data = this.#data;
    let [low, high] = [0, 0];
    for (let i = start; i < start + this.codes.length; i++) {
      if (data[i]! < low) low = data[i]!;
      if (data[i]! > high) high = data[i]!;
    }
    const range = high - low;
    this.zero = range > 0 ? Math.round((-low * TOP) / range) : 0;
    let [best, step] = [0, 0];
    for (const cover of range > 0 ? COVERS : []) {
      const candidate = (range * cover) / TOP;
      this.#encode(start, column, candidate);
      const explained = this.#square > 0 ? this.#product ** 2 / this.#square : 0;
      if (explained > best) [best, step] = [explained, candidate];
    }
    this.#encode(start, column, step);
    this.scale = this.#square > 0 ? this.#product / this.#square : step;
  }

  /**
   * Writes the codes, and Σ value·code and Σ code², which count by importance: the best scale for these codes is the first over the
   * second, and leaves Σ value² − product² / square of error.
   */
  #encode(start: number, column: number, step: number): void {
    const [data, importance, zero] = [this.#data, this.#importance, this.zero];
    const inverse = step === 0 ? 0 : 1 / step;
    let [product, square] = [0, 0];
    for (let i = 0; i < this.codes.length; i++) {
      const value = data[start + i]!;
      const code = nibbleOf(value * inverse + zero);
      const steps = importance[column + i]! * (code - zero);
      product += value * steps;
      square += (code - zero) * steps;
      this.codes[i] = code;
    }
    this.#product = product;
    this.#square = square;
  }
}

/** The nearest code from 0 to 15. */
export function nibbleOf(value: number): number {
  return value <= 0 ? 0 : value >= TOP ? TOP : (value + 0.5) | 0;
}
