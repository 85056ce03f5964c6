/**
 * @file Dimensions of symbolic tensors: integers, or polynomials over named sizes such as `B*T` or `P + T`, kept in a
 * canonical form so that two dimensions can be compared. What the sizes are is known only when a graph runs.
 */

import { assert } from '../core/index.ts';

/** A dimension: a number, or a {@link SymbolicDim}. */
export type Dim = number | SymbolicDim;

/** Shape of a symbolic tensor. */
export type Shape = readonly Dim[];

/** Sum of monomials with integer coefficients; a monomial is its factor names sorted and joined by `*`, '' is the constant. */
export class SymbolicDim {
  readonly terms: ReadonlyMap<string, number>;
  readonly key: string;

  constructor(terms: ReadonlyMap<string, number>) {
    this.terms = terms;
    this.key = [...terms]
      .sort(([a], [b]) => (a < b ? 1 : -1))
      .map(([monomial, count]) => (monomial === '' ? `${count}` : count === 1 ? monomial : `${count}*${monomial}`))
      .join('+')
      .replaceAll('+-', '-');
  }

  toString(): string {
    return this.key;
  }
}

/** A named size, for example `dim('B')`. */
export function dim(name: string): Dim {
  assert(/^[A-Za-z_]\w*$/.test(name), `dim: expected an identifier, got ${name}`);
  return new SymbolicDim(new Map([[name, 1]]));
}

const termsOf = (d: Dim): ReadonlyMap<string, number> => (typeof d === 'number' ? new Map([['', d]]) : d.terms);

/** Canonical form: no zero terms, and a plain number when only the constant is left. */
function fromTerms(terms: Map<string, number>): Dim {
  for (const [monomial, count] of terms) if (count === 0) terms.delete(monomial);
  if (terms.size === 0) return 0;
  if (terms.size === 1 && terms.has('')) return terms.get('')!;
  return new SymbolicDim(terms);
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const sum = new Map(termsOf(a));
  for (const [monomial, count] of termsOf(b)) sum.set(monomial, (sum.get(monomial) ?? 0) + count);
  return fromTerms(sum);
}

export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const product = new Map<string, number>();
  for (const [left, leftCount] of termsOf(a)) {
    for (const [right, rightCount] of termsOf(b)) {
      const monomial = [left, right]
        .flatMap(m => (m === '' ? [] : m.split('*')))
        .sort()
        .join('*');
      product.set(monomial, (product.get(monomial) ?? 0) + leftCount * rightCount);
    }
  }
  return fromTerms(product);
}

export function subDims(a: Dim, b: Dim): Dim {
  return addDims(a, mulDims(-1, b));
}

export function sameDim(a: Dim, b: Dim): boolean {
  return typeof a === 'number' || typeof b === 'number' ? a === b : a.key === b.key;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => sameDim(d, b[i]!));
}

/** Product of all dimensions. */
export function shapeSize(shape: Shape): Dim {
  return shape.reduce(mulDims, 1);
}

/** Names of the sizes that a dimension is made of. */
export function dimSymbols(d: Dim): string[] {
  const names = [...termsOf(d).keys()].flatMap(monomial => (monomial === '' ? [] : monomial.split('*')));
  return [...new Set(names)];
}

/** The size's name when the dimension is one bare name, else undefined. */
export function bareSymbol(d: Dim): string | undefined {
  if (typeof d === 'number' || d.terms.size !== 1) return undefined;
  const [[monomial, count]] = [...d.terms] as [[string, number]];
  return count === 1 && !monomial.includes('*') ? monomial : undefined;
}

/** Replaces names by sizes; throws on a name that has none. */
export function evaluateDim(d: Dim, sizes: Readonly<Record<string, number>>): number {
  let sum = 0;
  for (const [monomial, count] of termsOf(d)) {
    let product = count;
    for (const name of monomial === '' ? [] : monomial.split('*')) {
      const size = sizes[name];
      assert(size !== undefined, `evaluateDim: no size for ${name} in ${d}`);
      product *= size;
    }
    sum += product;
  }
  return sum;
}

/** `[B, 3, 64]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}
