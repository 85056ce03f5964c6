/** @file From a graph to an ONNX model: emission rules applied in order, weights referenced in their files. */

import { assert, type DType, type HostTensor, i64Tensor, sizeOf, tensorBytes } from '../../core/index.ts';
import { bareSymbol, type Dim, type Shape, type SymbolicDim } from '../dim.ts';
import type { Graph, Port } from '../graph.ts';
import { type EmitContext, type OnnxAttribute, opTable } from '../op.ts';
import { ONNX_DTYPE } from '../ops/index.ts';
import { type LeafNode, type OpNode, scalar, type TensorType, type Value } from '../value.ts';
import { externalTensorProto, modelProto, nodeProto, tensorProto, valueProto } from './protobuf.ts';

/** Opset 21 has all standard ops used here; `com.microsoft` are ONNX Runtime's own. */
const OPSETS = { '': 21, 'com.microsoft': 1 } as const;

/** Where a parameter's numbers come from. */
export type ParamSource =
  | {
      readonly kind: 'file';
      readonly dtype: DType;
      readonly file: string;
      readonly offset: number;
      readonly byteLength: number;
    }
  /** In a file named relative to the model's own. */
  | {
      readonly kind: 'beside';
      readonly dtype: DType;
      readonly location: string;
      readonly offset: number;
      readonly byteLength: number;
    }
  | { readonly kind: 'host'; readonly tensor: HostTensor }
  /** Fed at each run like an input, as training does. */
  | { readonly kind: 'input' };

/** What the model is for. */
export interface EmitOptions {
  /** Whether what runs it has ONNX Runtime's FusedMatMul. Default true. */
  readonly hasFusedMatMul?: boolean;
}

/** Name, type and shape of a model's input or output; unknown sizes have names. */
export interface OnnxPort {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

/** A model that ONNX Runtime can load. Locations of external data in `file`s are absolute paths less the leading slash. */
export interface OnnxModel {
  readonly bytes: Uint8Array;
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
}

const noSource = ({ name }: Port): ParamSource => {
  throw new Error(`internal: emit: no source of the parameter ${name}`);
};

/** The ONNX form of `graph`, with `source` telling where each parameter lies. Default: for a graph without. */
export function emitOnnx(
  graph: Graph,
  source: (param: Port) => ParamSource = noSource,
  { hasFusedMatMul = true }: EmitOptions = {},
): OnnxModel {
  const emitter = new Emitter(graph, hasFusedMatMul);
  const fed: Port[] = [...graph.inputs];
  for (const param of graph.params) {
    const from = source(param);
    if (from.kind === 'input') fed.push(param);
    else emitter.addParam(param, from);
  }
  for (const node of graph.nodes) emitter.addNode(node as OpNode | LeafNode);
  for (const output of graph.outputs) emitter.addOutput(output);
  return emitter.finish(fed, graph.outputs);
}

const toOnnxPort = ({ name, dtype, shape }: Port): OnnxPort => ({
  name,
  dtype,
  shape: shape.map(d => (typeof d === 'number' ? d : d.key)),
});

const keyOf = (value: Value): string => `${value.node.id}.${value.index}`;

/**
 * Parameters that are read by lookups of rows alone, such as embeddings. Stored in 16 bits they stay so in memory: the rows
 * are converted, where other parameters are converted whole when the model is loaded.
 */
function lookupTables(graph: Graph): ReadonlySet<string> {
  const tables = new Set(graph.params.map(({ value }) => keyOf(value)));
  for (const node of graph.nodes) {
    if (node.kind !== 'op') continue;
    const rest = node.op === 'gather' ? node.inputs.slice(1) : node.inputs;
    for (const value of rest) tables.delete(keyOf(value));
  }
  for (const { value } of graph.outputs) tables.delete(keyOf(value));
  return tables;
}

/**
 * Collects nodes and initializers while the graph is walked. Names that are made up start with `%`, so that they are never
 * those of inputs, parameters or outputs, and are counted: equal graphs have equal bytes.
 */
class Emitter {
  readonly #nodes: Uint8Array[] = [];
  readonly #initializers: Uint8Array[] = [];
  readonly #names = new Map<string, string>();
  readonly #shared = new Map<string, string>();
  readonly #sizeSources = new Map<string, { name: string; axis: number }>();
  /** Parameters of which only rows are read, by the key of their value. */
  readonly #tables: ReadonlySet<string>;
  #fresh = 0;

  readonly #hasFusedMatMul: boolean;

  constructor(graph: Graph, hasFusedMatMul: boolean) {
    this.#hasFusedMatMul = hasFusedMatMul;
    this.#tables = lookupTables(graph);
    for (const { value, name } of graph.outputs) this.#reserve(value, name);
    for (const { value, name, shape } of [...graph.inputs, ...graph.params]) {
      this.#names.set(keyOf(value), name);
      for (const [axis, d] of shape.entries()) {
        const symbol = bareSymbol(d);
        if (symbol && !this.#sizeSources.has(symbol)) this.#sizeSources.set(symbol, { name, axis });
      }
    }
  }

  /**
   * An op's output that is a graph output takes that name itself: a copying Identity would break buffers that are bound
   * as input and output at once (key/value cache, parameters).
   */
  #reserve(value: Value, name: string): void {
    const key = keyOf(value);
    if (value.node.kind === 'op' && !this.#names.has(key)) this.#names.set(key, name);
  }

  addParam({ name, dtype, shape, value }: Port, from: Exclude<ParamSource, { kind: 'input' }>): void {
    const stored = from.kind === 'host' ? from.tensor.dtype : from.dtype;
    const target = stored === dtype ? name : `%${name}:${stored}`;
    const sizes = shape as readonly number[];
    if (from.kind === 'host') this.#initializers.push(tensorProto(target, { ...from.tensor, shape: sizes }));
    else {
      const location = from.kind === 'file' ? toLocation(from.file) : from.location;
      const place = { location, offset: from.offset, byteLength: from.byteLength };
      this.#initializers.push(externalTensorProto(target, stored, sizes, place));
    }
    if (target === name) return;
    const key = keyOf(value);
    if (this.#tables.has(key)) this.#names.set(key, target);
    else this.#node('Cast', [target], { attributes: { to: ONNX_DTYPE[dtype] }, outputs: [name] });
  }

  addNode(node: OpNode | LeafNode): void {
    if (node.kind !== 'op') {
      assert(node.tensor, `emit: leaf ${node.name} has no data`);
      this.#names.set(`${node.id}.0`, this.#constant(node.tensor));
      return;
    }
    const record = opTable.get(node.op)!;
    const outputTypes = record.infer(node.inputs, node.attrs);
    const outputs = outputTypes.map((_, index) => this.#outputName(node, index));
    const stored = this.#isStoredTable(node.inputs[0]);
    const made = stored ? [`${outputs[0]}:stored`] : outputs;
    record.emit(this.#context(node, made, outputTypes));
    if (stored) this.#node('Cast', made, { attributes: { to: ONNX_DTYPE[outputTypes[0]!.dtype] }, outputs });
  }

  /** Whether `value` is a table that is looked up in the type it is stored in. */
  #isStoredTable(value: Value | undefined): boolean {
    if (!value || !this.#tables.has(keyOf(value))) return false;
    return this.#nameOf(value) !== (value.node as LeafNode).name;
  }

  #outputName(node: OpNode, index: number): string {
    const key = `${node.id}.${index}`;
    const name = this.#names.get(key) ?? `%v${++this.#fresh}`;
    this.#names.set(key, name);
    return name;
  }

  addOutput({ name, value }: Port): void {
    if (this.#nameOf(value) !== name) this.#node('Identity', [this.#nameOf(value)], { outputs: [name] });
  }

  finish(fed: readonly Port[], outputs: readonly Port[]): OnnxModel {
    const inputs = fed.map(toOnnxPort);
    const results = outputs.map(toOnnxPort);
    const parts = {
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: inputs.map(p => valueProto(p.name, p.dtype, p.shape)),
      outputs: results.map(p => valueProto(p.name, p.dtype, p.shape)),
    };
    return { bytes: modelProto(parts, OPSETS), inputs, outputs: results };
  }

  #context(node: OpNode, outputs: readonly string[], outputTypes: readonly TensorType[]): EmitContext<object> {
    return {
      attrs: node.attrs,
      inputs: node.inputs.map(value => this.#nameOf(value)),
      outputs,
      inputTypes: node.inputs,
      outputTypes,
      hasFusedMatMul: this.#hasFusedMatMul,
      node: (opType, inputs, options = {}) => this.#node(opType, inputs, options),
      ints: values => this.#constant(i64Tensor([values.length], values)),
      dims: dims => this.#dims(dims),
      scalar: (value, dtype) => this.#constant((scalar(value, dtype).node as LeafNode).tensor!),
    };
  }

  #nameOf(value: Value): string {
    const name = this.#names.get(keyOf(value));
    assert(name !== undefined, `emit: value %${value.id} has no name yet`);
    return name;
  }

  #node(
    opType: string,
    inputs: readonly string[],
    options: { attributes?: Readonly<Record<string, OnnxAttribute>>; domain?: string; outputs?: readonly string[] },
  ): string {
    const outputs = options.outputs ?? [`%t${++this.#fresh}`];
    this.#nodes.push(nodeProto(opType, options.domain ?? '', inputs, outputs, options.attributes ?? {}));
    return outputs[0]!;
  }

  /** An initializer; small equal ones are shared. */
  #constant(tensor: HostTensor): string {
    const small = sizeOf(tensor.shape) <= 16;
    const key = `${tensor.dtype}[${tensor.shape}]${small ? tensorBytes(tensor).join() : ''}`;
    const known = small ? this.#shared.get(key) : undefined;
    if (known) return known;
    const name = `%c${++this.#fresh}`;
    this.#initializers.push(tensorProto(name, tensor));
    if (small) this.#shared.set(key, name);
    return name;
  }

  /** An i64 vector with the sizes: constant where all are numbers, else computed from the shapes of graph inputs. */
  #dims(dims: Shape): string {
    if (dims.every(d => typeof d === 'number')) return this.#constant(i64Tensor([dims.length], dims as number[]));
    const key = `dims ${dims.join()}`;
    const known = this.#shared.get(key);
    if (known) return known;
    const parts = dims.map(d => this.#oneDim(d));
    const name = parts.length === 1 ? parts[0]! : this.#node('Concat', parts, { attributes: { axis: 0 } });
    this.#shared.set(key, name);
    return name;
  }

  #oneDim(d: Dim): string {
    if (typeof d === 'number') return this.#constant(i64Tensor([1], [d]));
    const key = `dim ${d.key}`;
    const known = this.#shared.get(key);
    if (known) return known;
    const name = this.#polynomial(d);
    this.#shared.set(key, name);
    return name;
  }

  #polynomial(d: SymbolicDim): string {
    const terms = [...d.terms].map(([monomial, count]) => {
      const factors = monomial === '' ? [] : monomial.split('*').map(symbol => this.#size(symbol));
      if (count !== 1 || factors.length === 0) factors.push(this.#constant(i64Tensor([1], [count])));
      return factors.reduce((a, b) => this.#node('Mul', [a, b], {}));
    });
    return terms.reduce((a, b) => this.#node('Add', [a, b], {}));
  }

  /** The run-time value of a named size, as a vector of one element. */
  #size(symbol: string): string {
    const key = `size ${symbol}`;
    const known = this.#shared.get(key);
    if (known) return known;
    const from = this.#sizeSources.get(symbol);
    assert(from, `emit: no graph input shows the size ${symbol}`);
    const name = this.#node('Shape', [from.name], { attributes: { start: from.axis, end: from.axis + 1 } });
    this.#shared.set(key, name);
    return name;
  }
}

/** ONNX wants a path relative to a folder; the runtime names the root as that folder. */
function toLocation(file: string): string {
  return file.replaceAll('\\', '/').replace(/^([A-Za-z]:)?\/+/, '');
}
