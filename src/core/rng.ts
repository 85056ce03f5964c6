/**
 * @file Seeded random numbers with a state that can be saved, so that a resumed run draws what the unbroken run would
 * have drawn. Generator: sfc32 (Chris Doty-Humphrey's Small Fast Counter, 128-bit state).
 */

/** State of an {@link Rng}: four unsigned 32-bit words. */
export type RngState = readonly [number, number, number, number];

/** Deterministic generator; the same seed gives the same numbers on every machine. */
export class Rng {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  /** @param seed integer; only its low 32 bits count. */
  constructor(seed: number) {
    [this.#a, this.#b, this.#c, this.#counter] = [0x9e3779b9, 0x243f6a88, seed >>> 0, 1];
    for (let i = 0; i < 16; i++) this.nextUint32();
  }

  static fromState(state: RngState): Rng {
    const rng = new Rng(0);
    [rng.#a, rng.#b, rng.#c, rng.#counter] = state;
    return rng;
  }

  get state(): RngState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#counter >>> 0];
  }

  /** Uniform integer in [0, 2^32). */
  nextUint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1), with 53 random bits. */
  uniform(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform integer in [0, limit). */
  int(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }

  /** Standard normal (Box–Muller, one of the pair). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** One element of a non-empty list. */
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!;
  }

  /** Shuffles in place (Fisher–Yates) and returns the list. */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
    return list;
  }
}
