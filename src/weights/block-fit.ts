/** @file Scale and zero code of a block of 4-bit codes, by least squared error. */

/** Parts of a block's range that its 16 codes may cover: what lies outside is cut off where the others gain more by it. */
const COVERS = [1, 0.94, 0.88, 0.82, 0.76];
const TOP = 15;

/** The best scale, zero and codes of one block after another. */
export class BlockFit {
  scale = 0;
  zero = 0;
  readonly codes: Uint8Array;
  readonly #data: Float32Array;
  readonly #importance: Float32Array;

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
    let [best, step] = [Number.POSITIVE_INFINITY, 0];
    for (const cover of range > 0 ? COVERS : []) {
      const candidate = (range * cover) / TOP;
      const error = this.#error(start, column, candidate, best);
      if (error < best) [best, step] = [error, candidate];
    }
    this.scale = this.#encode(start, column, step);
  }

  /** Σ importance·(value − what its code means)²; given up where it exceeds `limit`. */
  #error(start: number, column: number, step: number, limit: number): number {
    const [data, importance, zero] = [this.#data, this.#importance, this.zero];
    const inverse = 1 / step;
    let sum = 0;
    for (let i = 0; i < this.codes.length && sum < limit; i++) {
      const value = data[start + i]!;
      const error = value - (nibbleOf(value * inverse + zero) - zero) * step;
      sum += importance[column + i]! * error * error;
    }
    return sum;
  }

  /** Writes the codes; returns the scale that is best for them, Σ value·code / Σ code². */
  #encode(start: number, column: number, step: number): number {
    const [data, importance, zero] = [this.#data, this.#importance, this.zero];
    const inverse = step === 0 ? 0 : 1 / step;
    let [product, square] = [0, 0];
    for (let i = 0; i < this.codes.length; i++) {
      const value = data[start + i]!;
      const code = nibbleOf(value * inverse + zero);
      const steps = code - zero;
      product += importance[column + i]! * value * steps;
      square += importance[column + i]! * steps * steps;
      this.codes[i] = code;
    }
    return square > 0 ? product / square : step;
  }
}

/** The nearest code from 0 to 15. */
export function nibbleOf(value: number): number {
  return value <= 0 ? 0 : value >= TOP ? TOP : (value + 0.5) | 0;
}
