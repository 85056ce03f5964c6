/**
 * @file A minimal ONNX writer, so that the runtime's tests do not depend on the graph compiler. Field numbers are those
 * of `onnx.proto`.
 */

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { DType, TypedArray } from '../../../src/core/index.ts';
import type { OnnxModel, OnnxPort } from '../../../src/graph/index.ts';

const DATA_TYPES: Partial<Record<DType, number>> = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, bool: 9, f16: 10 };
type Attribute = number | string | { readonly float: number };

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly domain?: string;
}

export interface Initializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The elements, or where they are in a file. */
  readonly data: TypedArray | { readonly location: string; readonly offset: number; readonly length: number };
}

export const value = (name: string, shape: readonly (number | string)[], dtype: DType = 'f32'): OnnxPort => ({
  name,
  dtype,
  shape,
});

export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  rest: Partial<Node> = {},
): Node => ({
  op,
  inputs,
  outputs,
  ...rest,
});

class Message {
  readonly writer = new BinaryWriter();
  int(field: number, value: number): this {
    this.writer.tag(field, WireType.Varint).int64(value);
    return this;
  }
  float(field: number, value: number): this {
    this.writer.tag(field, WireType.Bit32).float(value);
    return this;
  }
  text(field: number, value: string): this {
    this.writer.tag(field, WireType.LengthDelimited).string(value);
    return this;
  }
  bytes(field: number, value: Uint8Array): this {
    this.writer.tag(field, WireType.LengthDelimited).bytes(value);
    return this;
  }
  message(field: number, fill: (message: Message) => void): this {
    const inner = new Message();
    fill(inner);
    return this.bytes(field, inner.writer.finish());
  }
}

/** The model as ONNX Runtime and `compile` want it. */
export function model(parts: {
  readonly nodes: readonly Node[];
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  readonly initializers?: readonly Initializer[];
}): OnnxModel {
  const root = new Message().int(1, 10);
  root.message(7, graph => {
    for (const part of parts.nodes) graph.message(1, message => writeNode(message, part));
    graph.text(2, 'graph');
    for (const part of parts.initializers ?? []) graph.message(5, message => writeTensor(message, part));
    for (const part of parts.inputs) graph.message(11, message => writeValue(message, part));
    for (const part of parts.outputs) graph.message(12, message => writeValue(message, part));
  });
  root.message(8, opset => opset.text(1, '').int(2, 21));
  root.message(8, opset => opset.text(1, 'com.microsoft').int(2, 1));
  return { bytes: root.writer.finish(), inputs: parts.inputs, outputs: parts.outputs };
}

function writeNode(message: Message, part: Node): void {
  for (const name of part.inputs) message.text(1, name);
  for (const name of part.outputs) message.text(2, name);
  message.text(3, `${part.op}_${part.outputs[0]}`).text(4, part.op);
  for (const [name, attribute] of Object.entries(part.attributes ?? {})) {
    message.message(5, inner => writeAttribute(inner.text(1, name), attribute));
  }
  if (part.domain) message.text(7, part.domain);
}

function writeAttribute(message: Message, attribute: Attribute): void {
  if (typeof attribute === 'number') message.int(3, attribute).int(20, 2);
  else if (typeof attribute === 'string') message.bytes(4, Buffer.from(attribute)).int(20, 3);
  else message.float(2, attribute.float).int(20, 1);
}

function writeTensor(message: Message, part: Initializer): void {
  for (const dim of part.shape) message.int(1, dim);
  message.int(2, DATA_TYPES[part.dtype]!).text(8, part.name);
  const { data } = part;
  if ('location' in data) {
    for (const key of ['location', 'offset', 'length'] as const) {
      message.message(13, entry => entry.text(1, key).text(2, String(data[key])));
    }
    message.int(14, 1);
  } else message.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue(message: Message, part: OnnxPort): void {
  message.text(1, part.name).message(2, type =>
    type.message(1, tensor =>
      tensor.int(1, DATA_TYPES[part.dtype]!).message(2, shape => {
        for (const dim of part.shape) {
          shape.message(1, size => (typeof dim === 'string' ? size.text(2, dim) : size.int(1, dim)));
        }
      }),
    ),
  );
}

/** y = a + b over [n]. */
export const addModel = (): OnnxModel =>
  model({
    nodes: [node('Add', ['a', 'b'], ['y'])],
    inputs: [value('a', ['n']), value('b', ['n'])],
    outputs: [value('y', ['n'])],
  });

/** y = xᵏ⁺¹ for a square x: a graph `length` nodes deep that keeps the processor busy. */
export const matmulChain = (length: number): OnnxModel =>
  model({
    nodes: Array.from({ length }, (_, i) =>
      node('MatMul', [i === 0 ? 'x' : `t${i}`, 'x'], [i === length - 1 ? 'y' : `t${i + 1}`]),
    ),
    inputs: [value('x', ['n', 'n'])],
    outputs: [value('y', ['n', 'n'])],
  });
