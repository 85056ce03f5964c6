/** @file Names for parameters: a path of modules, as in the checkpoint, and one value for each full name. */

import { assert, type DType } from '../core/index.ts';
import { param, sameShape, type Value } from '../graph/index.ts';
import type { WeightFormat } from './linear.ts';

/** Form of the weight of the linear layer at a path. */
export type FormatPlan = (path: string) => WeightFormat;

/**
 * A place in the tree of module names. Layers ask it for their parameters; asking twice for a name gives the same value,
 * so weights can be shared.
 */
export class Scope {
  readonly #path: string;
  readonly #plan: FormatPlan;
  readonly #params: Map<string, Value>;

  /** @param plan form of each linear layer's weight; by default all are float */
  constructor(path = '', plan: FormatPlan = () => 'float', params = new Map<string, Value>()) {
    this.#path = path;
    this.#plan = plan;
    this.#params = params;
  }

  /** The scope of the child module `name` (dots allowed). */
  at(name: string | number): Scope {
    return new Scope(this.#join(`${name}`), this.#plan, this.#params);
  }

  /** Form of this module's weight, if it is a linear layer. */
  weightFormat(): WeightFormat {
    return this.#plan(this.#path);
  }

  /** The parameter `name` of this module. */
  param(name: string, shape: readonly number[], dtype: DType = 'f32'): Value {
    const full = this.#join(name);
    const known = this.#params.get(full);
    if (known) {
      assert(sameShape(known.shape, shape), `Scope: ${full} is asked for as [${shape}] and as [${known.shape}]`);
      return known;
    }
    const value = param(full, shape, dtype);
    this.#params.set(full, value);
    return value;
  }

  /** All parameters asked for so far anywhere in this tree, by full name. */
  get params(): ReadonlyMap<string, Value> {
    return this.#params;
  }

  #join(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}
