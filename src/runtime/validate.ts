/**
 * @file Checks names, dtypes and shapes of what goes into a run before native code sees it. ONNX Runtime finds most of
 * these faults too, but some only inside a kernel, and it names no symbols.
 */

import { type DType, LlavaError, nearestName } from '../core/index.ts';
import type { OnnxPort } from '../graph/index.ts';

/** What is checked of a tensor; host and device tensors both fit. */
export interface Typed {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Sizes of symbols found so far in a run, and where each was first seen. */
export type Symbols = Map<string, { readonly size: number; readonly seenIn: string }>;

export type Ports = ReadonlyMap<string, OnnxPort>;

/** The port called `name`, or an error that names the nearest one. */
export function findPort(where: string, kind: 'input' | 'output', ports: Ports, name: string): OnnxPort {
  const port = ports.get(name);
  if (port) return port;
  const hint = ports.size > 0 ? ` (did you mean "${nearestName(name, [...ports.keys()])}"?)` : '';
  throw new LlavaError(`${where}: expected a known ${kind}, got "${name}"${hint}`);
}

/** Throws unless every port is `given`, listing those that lack. */
export function checkComplete(where: string, ports: Ports, given: ReadonlyMap<string, unknown>): void {
  const missing = [...ports.values()].filter(port => !given.has(port.name));
  if (missing.length === 0) return;
  const list = missing.map(port => `"${port.name}" (${describe(port)})`).join(', ');
  throw new LlavaError(`${where}: expected ${ports.size} inputs, got none for ${list}`);
}

/** Throws unless `tensor` has the dtype and shape of `port`, and its symbols the sizes in `symbols`; adds new symbols. */
export function checkTensor(
  where: string,
  kind: 'input' | 'output',
  port: OnnxPort,
  tensor: Typed,
  symbols: Symbols,
): void {
  const label = `${kind} "${port.name}"`;
  const fits =
    tensor.dtype === port.dtype &&
    tensor.shape.length === port.shape.length &&
    port.shape.every((dim, axis) => typeof dim === 'string' || dim === tensor.shape[axis]);
  if (!fits) {
    const got = `${tensor.dtype} [${tensor.shape.join(', ')}]`;
    throw new LlavaError(`${where}: ${label}: expected ${describe(port)}, got ${got}`);
  }
  port.shape.forEach((dim, axis) => {
    if (typeof dim === 'string') checkSymbol(where, label, dim, tensor.shape[axis]!, symbols);
  });
}

function checkSymbol(where: string, label: string, symbol: string, size: number, symbols: Symbols): void {
  const known = symbols.get(symbol);
  if (known === undefined) symbols.set(symbol, { size, seenIn: label });
  else if (known.size !== size) {
    throw new LlavaError(
      `${where}: ${label}: expected ${symbol} = ${known.size} as in ${known.seenIn}, got ${symbol} = ${size}`,
    );
  }
}

function describe(port: OnnxPort): string {
  return `${port.dtype} [${port.shape.join(', ')}]`;
}
