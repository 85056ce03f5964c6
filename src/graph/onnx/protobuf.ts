/**
 * @file The few messages of onnx.proto3 that a model needs, written field by field. Field numbers are those of
 * onnx/onnx.proto (IR version 10).
 */

import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type DType, type HostTensor, tensorBytes } from '../../core/index.ts';
import type { OnnxAttribute } from '../op.ts';
import { ONNX_DTYPE } from '../ops/index.ts';

const VARINT = 0;
const LENGTH = 2;
const FIXED32 = 5;
const IR_VERSION = 10;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

const bytes = (w: BinaryWriter, field: number, value: Uint8Array) => w.tag(field, LENGTH).bytes(value);
const text = (w: BinaryWriter, field: number, value: string) => w.tag(field, LENGTH).string(value);
const int = (w: BinaryWriter, field: number, value: number) => w.tag(field, VARINT).int64(value);

/** NodeProto. */
export function nodeProto(
  opType: string,
  domain: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, OnnxAttribute>>,
): Uint8Array {
  const w = new BinaryWriter();
  for (const name of inputs) text(w, 1, name);
  for (const name of outputs) text(w, 2, name);
  text(w, 3, `${opType}_${outputs.find(name => name !== '')}`);
  text(w, 4, opType);
  for (const [name, value] of Object.entries(attributes)) bytes(w, 5, attributeProto(name, value));
  if (domain !== '') text(w, 7, domain);
  return w.finish();
}

function attributeProto(name: string, value: OnnxAttribute): Uint8Array {
  const w = text(new BinaryWriter(), 1, name);
  if (typeof value === 'number') int(int(w, 3, value), 20, ATTRIBUTE_TYPE.int);
  else if (typeof value === 'string') int(text(w, 4, value), 20, ATTRIBUTE_TYPE.string);
  else if ('float' in value) int(w.tag(2, FIXED32).float(value.float), 20, ATTRIBUTE_TYPE.float);
  else {
    for (const element of value) int(w, 8, element);
    int(w, 20, ATTRIBUTE_TYPE.ints);
  }
  return w.finish();
}

/** TensorProto with its data inside. */
export function tensorProto(name: string, tensor: HostTensor): Uint8Array {
  const w = tensorHeader(name, tensor.dtype, tensor.shape);
  return bytes(w, 9, tensorBytes(tensor)).finish();
}

/** TensorProto whose data lies in a file: ONNX Runtime maps it. */
export function externalTensorProto(
  name: string,
  dtype: DType,
  shape: readonly number[],
  place: { location: string; offset: number; byteLength: number },
): Uint8Array {
  const w = tensorHeader(name, dtype, shape);
  const entries = { location: place.location, offset: `${place.offset}`, length: `${place.byteLength}` };
  for (const [key, value] of Object.entries(entries)) {
    bytes(w, 13, text(text(new BinaryWriter(), 1, key), 2, value).finish());
  }
  return int(w, 14, 1).finish();
}

function tensorHeader(name: string, dtype: DType, shape: readonly number[]): BinaryWriter {
  const w = new BinaryWriter();
  for (const size of shape) int(w, 1, size);
  return text(int(w, 2, ONNX_DTYPE[dtype]), 8, name);
}

/** ValueInfoProto. */
export function valueProto(name: string, dtype: DType, shape: readonly (number | string)[]): Uint8Array {
  const dims = new BinaryWriter();
  for (const size of shape) {
    const one = new BinaryWriter();
    bytes(dims, 1, (typeof size === 'number' ? int(one, 1, size) : text(one, 2, size)).finish());
  }
  const tensorType = bytes(int(new BinaryWriter(), 1, ONNX_DTYPE[dtype]), 2, dims.finish()).finish();
  return bytes(text(new BinaryWriter(), 1, name), 2, bytes(new BinaryWriter(), 1, tensorType).finish()).finish();
}

/** The parts of a GraphProto, each encoded. */
export interface GraphParts {
  readonly nodes: readonly Uint8Array[];
  readonly initializers: readonly Uint8Array[];
  readonly inputs: readonly Uint8Array[];
  readonly outputs: readonly Uint8Array[];
}

/** ModelProto. */
export function modelProto(graph: GraphParts, opsets: Readonly<Record<string, number>>): Uint8Array {
  const g = new BinaryWriter();
  for (const node of graph.nodes) bytes(g, 1, node);
  text(g, 2, 'llava-ts');
  for (const tensor of graph.initializers) bytes(g, 5, tensor);
  for (const value of graph.inputs) bytes(g, 11, value);
  for (const value of graph.outputs) bytes(g, 12, value);
  const w = text(int(new BinaryWriter(), 1, IR_VERSION), 2, 'llava-ts');
  bytes(w, 7, g.finish());
  for (const [domain, version] of Object.entries(opsets)) {
    bytes(w, 8, int(text(new BinaryWriter(), 1, domain), 2, version).finish());
  }
  return w.finish();
}
