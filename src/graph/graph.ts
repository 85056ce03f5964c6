/** @file A finished graph: the nodes that named outputs need, in order; its grammar (verify) and its text form (print). */

import { assert, toFloat32 } from '../core/index.ts';
import { bareSymbol, dimSymbols, sameShape } from './dim.ts';
import { formatType, opTable } from './op.ts';
import type { LeafNode, Node, OpNode, TensorType, Value } from './value.ts';

/** A value with the name it has outside. */
export interface Port extends TensorType {
  readonly name: string;
  readonly value: Value;
}

/** Everything that a set of outputs needs. */
export interface Graph {
  readonly inputs: readonly Port[];
  readonly params: readonly Port[];
  readonly outputs: readonly Port[];
  /** Ops and constants in an order in which each comes after its inputs. */
  readonly nodes: readonly Node[];
}

/** The graph that computes the named outputs. Verified. */
export function buildGraph(outputs: Readonly<Record<string, Value>>): Graph {
  const leaves: Port[] = [];
  const nodes: Node[] = [];
  for (const value of reachable(Object.values(outputs))) {
    const { node } = value;
    if (node.kind === 'input' || node.kind === 'param') leaves.push(port(node.name, value));
    else nodes.push(node);
  }
  const graph = {
    inputs: leaves.filter(leaf => leaf.value.node.kind === 'input'),
    params: leaves.filter(leaf => leaf.value.node.kind === 'param'),
    outputs: Object.entries(outputs).map(([name, value]) => port(name, value)),
    nodes,
  };
  verify(graph);
  return graph;
}

function port(name: string, value: Value): Port {
  return { name, value, dtype: value.dtype, shape: value.shape };
}

/** One value for each node that the roots depend on, by ascending id. */
function reachable(roots: readonly Value[]): Value[] {
  const seen = new Map<number, Value>();
  const pending = [...roots];
  while (pending.length > 0) {
    const value = pending.pop()!;
    if (seen.has(value.node.id)) continue;
    seen.set(value.node.id, value);
    if (value.node.kind === 'op') pending.push(...value.node.inputs);
  }
  return [...seen.values()].sort((a, b) => a.node.id - b.node.id);
}

/**
 * Throws `internal:` unless the graph is well formed: names are unique, inputs come before use, each value's type is what
 * its op infers, and each named size can be read off a graph input.
 */
export function verify(graph: Graph): void {
  const leaves = [...graph.inputs, ...graph.params];
  const isLeaf = (p: Port) => leaves.some(leaf => leaf.name === p.name && leaf.value.node.id === p.value.node.id);
  const results = graph.outputs.filter(p => !isLeaf(p));
  const names = [...leaves, ...results].map(p => p.name);
  assert(
    new Set(names).size === names.length,
    `verify: names of inputs, parameters or outputs repeat: ${repeated(names)}`,
  );
  const madeUp = names.find(name => name.startsWith('%'));
  assert(madeUp === undefined, `verify: the name ${madeUp} starts with %, as names of inner values do`);
  const known = new Set(leaves.map(p => p.value.node.id));
  const sizes = new Set(graph.inputs.flatMap(p => p.shape.map(bareSymbol)));
  for (const node of graph.nodes) {
    if (node.kind === 'op') verifyNode(node, known, sizes);
    known.add(node.id);
  }
  for (const { name, value } of graph.outputs) {
    assert(known.has(value.node.id), `verify: output ${name} is no node of the graph`);
    verifyType(value);
  }
}

function verifyNode(node: OpNode, known: ReadonlySet<number>, sizes: ReadonlySet<string | undefined>): void {
  const record = opTable.get(node.op);
  assert(record, `verify: unknown op ${node.op}`);
  assert(
    node.inputs.every(value => known.has(value.node.id)),
    `verify: ${node.op} %${node.id} reads a value that comes later`,
  );
  for (const value of node.inputs) verifyType(value);
  for (const { shape } of record.infer(node.inputs, node.attrs)) {
    const free = shape.flatMap(dimSymbols).find(name => !sizes.has(name));
    assert(free === undefined, `verify: ${node.op} %${node.id} has the size ${free}, which no graph input shows`);
  }
}

function verifyType(value: Value): void {
  const { node } = value;
  if (node.kind !== 'op') return;
  const inferred = opTable.get(node.op)!.infer(node.inputs, node.attrs)[value.index]!;
  const agrees = inferred.dtype === value.dtype && sameShape(inferred.shape, value.shape);
  assert(agrees, `verify: %${value.id} is ${formatType(value)}, but ${node.op} gives ${formatType(inferred)}`);
}

function repeated(names: readonly string[]): string {
  return [...new Set(names.filter((name, i) => names.indexOf(name) !== i))].join(', ');
}

/** One line a node: `%7 = matMul(%5, w) {"transB":true} : f32[B, 4]`. */
export function printGraph(graph: Graph): string {
  const label = labels(graph);
  const lines = [...graph.inputs.map(p => `input ${p.name} : ${formatType(p)}`)];
  lines.push(...graph.params.map(p => `param ${p.name} : ${formatType(p)}`));
  for (const node of graph.nodes) {
    if (node.kind === 'op') lines.push(printNode(node, label));
  }
  lines.push(...graph.outputs.map(p => `output ${p.name} = ${label(p.value)} : ${formatType(p)}`));
  return lines.join('\n');
}

/** Names ops by their place in the graph, so that the text does not depend on what was built before. */
function labels(graph: Graph): (value: Value) => string {
  const order = new Map(graph.nodes.filter(node => node.kind === 'op').map((node, i) => [node.id, i]));
  return ({ node, index }) => {
    if (node.kind === 'op') return `%${order.get(node.id)}${index === 0 ? '' : `.${index}`}`;
    return node.kind === 'constant' ? printConstant(node) : node.name;
  };
}

function printConstant({ tensor }: LeafNode): string {
  const { dtype, shape, data } = tensor!;
  if (shape.length > 0) return `const ${formatType(tensor!)}`;
  return String(dtype === 'f16' || dtype === 'bf16' ? toFloat32(tensor!)[0] : data[0]);
}

function printNode(node: OpNode, label: (value: Value) => string): string {
  const attrs = Object.keys(node.attrs).length === 0 ? '' : ` ${JSON.stringify(node.attrs, printAttribute)}`;
  const types = opTable.get(node.op)!.infer(node.inputs, node.attrs).map(formatType).join(', ');
  const result = label({ node, index: 0 } as Value);
  return `${result} = ${node.op}(${node.inputs.map(label).join(', ')})${attrs} : ${types}`;
}

function printAttribute(_key: string, value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'terms' in value ? String(value) : value;
}
