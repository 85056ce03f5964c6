/**
 * @file A model cut between its blocks, so that its layers' inputs can be looked at with the floats of one block in memory: what
 * one section gives the next reads.
 */

import { type Graph, subgraph, type Value } from '../../graph/index.ts';
import type { LinearLayer } from './layers.ts';

/** Part of a model, from one block's input to the next one's. */
export interface Section {
  readonly graph: Graph;
  /** Output → paths of the layers that read it. */
  readonly reads: ReadonlyMap<string, readonly string[]>;
}

const BLOCK_NORM = /layers\.\d+\.(input_layernorm|layer_norm1)\.weight$/;

/** The sections of a graph of whole sequences. Their other outputs are inputs of those that follow. */
export function sectionsOf(graph: Graph, layers: readonly LinearLayer[]): Section[] {
  const paths = new Map(layers.map(({ path, weight }) => [weight, path]));
  const sections: Section[] = [];
  const begins: Record<string, Value> = Object.fromEntries(graph.inputs.map(({ name, value }) => [name, value]));
  let reads = new Map<Value, string[]>();
  const close = (end?: Value): void => {
    const outputs = Object.fromEntries(Array.from(reads.keys(), (value, i) => [`read.${i}`, value]));
    const name = `block.${sections.length}`;
    sections.push({
      graph: subgraph(begins, { ...outputs, ...(end && { [name]: end }) }),
      reads: new Map(Array.from(reads.values(), (readers, i) => [`read.${i}`, readers])),
    });
    if (end) begins[name] = end;
    reads = new Map();
  };
  for (const node of graph.nodes) {
    if (node.kind !== 'op') continue;
    const [x, weight] = node.inputs as [Value, Value | undefined];
    const name = weight?.node.kind === 'param' ? weight.node.name : '';
    if (BLOCK_NORM.test(name)) close(x);
    const path = node.op === 'matMul' ? paths.get(name) : undefined;
    if (path !== undefined) reads.set(x, [...(reads.get(x) ?? []), path]);
  }
  close();
  return sections;
}
