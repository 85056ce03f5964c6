/** @file Reads back the parts of an ONNX model that tests look at. Field numbers are those of onnx.proto. */

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

type Field = number | bigint | Uint8Array;
type Message = ReadonlyMap<number, readonly Field[]>;

export interface OnnxNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly string[];
}

export interface OnnxTensor {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dtype: number;
  readonly dims: readonly number[];
  /** Empty when the data is inside. */
  readonly external: Readonly<Record<string, string>>;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Domain → version. */
  readonly opsets: Readonly<Record<string, number>>;
}

export function readOnnx(bytes: Uint8Array): OnnxGraph {
  const model = readMessage(bytes);
  const graph = readMessage(messages(model, 7)[0]!);
  return {
    nodes: messages(graph, 1).map(readNode),
    initializers: messages(graph, 5).map(readTensor),
    inputs: messages(graph, 11).map(value => texts(readMessage(value), 1)[0]!),
    outputs: messages(graph, 12).map(value => texts(readMessage(value), 1)[0]!),
    opsets: Object.fromEntries(
      messages(model, 8).map(opset => {
        const fields = readMessage(opset);
        return [texts(fields, 1)[0] ?? '', numbers(fields, 2)[0]!];
      }),
    ),
  };
}

function readNode(bytes: Uint8Array): OnnxNode {
  const fields = readMessage(bytes);
  return {
    opType: texts(fields, 4)[0]!,
    domain: texts(fields, 7)[0] ?? '',
    inputs: texts(fields, 1),
    outputs: texts(fields, 2),
    attributes: messages(fields, 5).map(attribute => texts(readMessage(attribute), 1)[0]!),
  };
}

function readTensor(bytes: Uint8Array): OnnxTensor {
  const fields = readMessage(bytes);
  const entries = messages(fields, 13).map(entry => {
    const [key, value] = [1, 2].map(field => texts(readMessage(entry), field)[0]!);
    return [key!, value!] as const;
  });
  return {
    name: texts(fields, 8)[0]!,
    dtype: numbers(fields, 2)[0]!,
    dims: numbers(fields, 1),
    external: Object.fromEntries(entries),
  };
}

/** All fields of a message, undecoded. */
function readMessage(bytes: Uint8Array): Message {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Field[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const list = fields.get(number) ?? [];
    fields.set(number, [...list, readField(reader, type)]);
  }
  return fields;
}

function readField(reader: BinaryReader, type: WireType): Field {
  if (type === WireType.Varint) return BigInt(reader.int64());
  if (type === WireType.LengthDelimited) return reader.bytes();
  if (type === WireType.Bit32) return reader.float();
  throw new Error(`wire type ${type} is not used by this library's models`);
}

const messages = (message: Message, field: number) => (message.get(field) ?? []) as readonly Uint8Array[];
const texts = (message: Message, field: number) =>
  messages(message, field).map(bytes => new TextDecoder().decode(bytes));
const numbers = (message: Message, field: number) => (message.get(field) ?? []).map(Number);
