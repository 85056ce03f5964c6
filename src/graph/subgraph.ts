/** @file A part of a graph on its own: where it begins, values become inputs. */

import { buildGraph, type Graph } from './graph.ts';
import { input, nextId, type OpNode, type Value } from './value.ts';

const keyOf = ({ node, index }: Value): string => `${node.id}.${index}`;

/** The graph that computes `outputs` from the values `inputs`, which are fed by these names, and from what else they need. */
export function subgraph(inputs: Readonly<Record<string, Value>>, outputs: Readonly<Record<string, Value>>): Graph {
  const copies = new Map<string, Value>();
  for (const [name, value] of Object.entries(inputs)) copies.set(keyOf(value), input(name, value.dtype, value.shape));
  const nodes = new Map<OpNode, OpNode>();
  const copy = (value: Value): Value => {
    const known = copies.get(keyOf(value)) ?? copyOp(value);
    copies.set(keyOf(value), known);
    return known;
  };
  const copyOp = (value: Value): Value => {
    const { node } = value;
    if (node.kind !== 'op') return value;
    const operands = node.inputs.map(copy);
    if (operands.every((operand, i) => operand === node.inputs[i])) return value;
    const made = nodes.get(node) ?? { ...node, id: nextId(), inputs: operands };
    nodes.set(node, made);
    return { ...value, id: value.index === 0 ? made.id : nextId(), node: made };
  };
  return buildGraph(Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, copy(value)])));
}
