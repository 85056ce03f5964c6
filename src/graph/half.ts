/**
 * @file A graph in half precision, for devices that compute twice as fast in it: weights and what comes of them are f16, what is fed
 * and what is given stay as they were. Numbers that come of no weight (positions, angles) stay f32: f16 counts to 2,048 only.
 */

import { castFloat, type HostTensor, isFloat } from '../core/index.ts';
import { buildGraph, type Graph } from './graph.ts';
import { opTable } from './op.ts';
import { cast } from './ops/index.ts';
import { constant, nextId, type OpNode, param, type Value } from './value.ts';

/** What a graph can be computed in. */
export const PRECISIONS = ['f32', 'f16'] as const;

/** One of {@link PRECISIONS}. */
export type Precision = (typeof PRECISIONS)[number];

/** Products of whole numbers: ONNX Runtime has them between f32 only. */
const FULL_OPS: ReadonlySet<string> = new Set(['quantizeRows', 'integerMatMul']);

/** `graph`, or for f16 one whose f32 weights are f16, computed in f16 from there on. Inputs and outputs keep their types. */
export function inPrecision(graph: Graph, precision: Precision): Graph {
  if (precision === 'f32') return graph;
  const half = new HalfCopy();
  for (const { name, shape, dtype, value } of graph.params) {
    if (dtype === 'f32') half.set(value, param(name, shape as readonly number[], 'f16'));
  }
  for (const node of graph.nodes) if (node.kind === 'op') half.apply(node);
  const outputs = graph.outputs.map(({ name, value, dtype }) => [name, half.as(half.of(value), dtype)]);
  return buildGraph(Object.fromEntries(outputs));
}

const keyOf = ({ node, index }: Value): string => `${node.id}.${index}`;

/** Copies of values, by the values they stand for. */
class HalfCopy {
  readonly #copies = new Map<string, Value>();
  /** Values cast to another type, made once for all that read them. */
  readonly #cast = new Map<string, Value>();

  set(value: Value, copy: Value): void {
    this.#copies.set(keyOf(value), copy);
  }

  of(value: Value): Value {
    return this.#copies.get(keyOf(value)) ?? value;
  }

  /** `value` in the type `dtype`, where that is another float. */
  as(value: Value, dtype: Value['dtype']): Value {
    if (!isFloat(value.dtype) || value.dtype === dtype) return value;
    const key = `${keyOf(value)} ${dtype}`;
    const known = this.#cast.get(key) ?? converted(value, dtype);
    this.#cast.set(key, known);
    return known;
  }

  /** The same op on the copies of its operands, all floats of one type. */
  apply(node: OpNode): void {
    const copies = node.inputs.map(value => this.of(value));
    const dtype = computingType(node, copies);
    const inputs = copies.map(value => this.as(value, dtype));
    const made: OpNode = { ...node, id: nextId(), inputs };
    for (const [index, type] of opTable.get(node.op)!.infer(inputs, node.attrs).entries()) {
      const id = index === 0 ? made.id : nextId();
      this.#copies.set(`${node.id}.${index}`, { id, node: made, index, ...type });
    }
  }
}

/** f16 as soon as one operand is; attention as its cache is, whatever comes to it. */
function computingType({ op }: OpNode, inputs: readonly Value[]): 'f16' | 'f32' {
  if (FULL_OPS.has(op)) return 'f32';
  if (op === 'groupQueryAttention') return inputs[3]!.dtype === 'f16' ? 'f16' : 'f32';
  return inputs.some(({ dtype }) => dtype === 'f16') ? 'f16' : 'f32';
}

function converted(value: Value, dtype: Value['dtype']): Value {
  const tensor: HostTensor | undefined = value.node.kind === 'constant' ? value.node.tensor : undefined;
  return tensor ? constant(castFloat(tensor, dtype as 'f16' | 'f32')) : cast(value, dtype);
}
