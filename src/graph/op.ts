/**
 * @file What an op is: one record with its formula and three rules (shape inference, gradient, ONNX emission). The record
 * type has no optional rule, so a missing one does not compile.
 */

import { assert } from '../core/index.ts';
import type { Dim } from './dim.ts';
import { formatShape } from './dim.ts';
import type * as Ops from './ops/index.ts';
import { nextId, type OpNode, type TensorType, type Value } from './value.ts';

/** The builders a gradient rule may use. Passed in, since gradients of one family use ops of the others. */
export type GradOps = typeof Ops;

/** What a gradient rule sees of one application of its op. */
export interface GradContext<Attrs> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attrs: Attrs;
  /** Gradients of the loss with respect to the outputs; zeros are made where an output is unused. */
  readonly gradOutputs: readonly Value[];
}

/** Gradients with respect to the inputs, in order; null where the rule is not differentiable in that input. */
export type GradRule<Attrs> = (g: GradOps, context: GradContext<Attrs>) => readonly (Value | null)[];

/** ONNX attribute values the writer understands; `{ float }` marks a number that must be stored as a float. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

/** What an emission rule can do. Names are ONNX value names. */
export interface EmitContext<Attrs> {
  readonly attrs: Attrs;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  /** Whether what runs the model has ONNX Runtime's FusedMatMul. */
  readonly hasFusedMatMul: boolean;
  /** Adds an ONNX node; `outputs` defaults to one fresh name. Returns the first output's name. */
  node(
    opType: string,
    inputs: readonly string[],
    options?: { attributes?: Readonly<Record<string, OnnxAttribute>>; domain?: string; outputs?: readonly string[] },
  ): string;
  /** Name of an i64 vector with the given integers. */
  ints(values: readonly number[]): string;
  /** Name of an i64 vector that holds `dims` at run time. */
  dims(dims: readonly Dim[]): string;
  /** Name of a scalar constant of the given type. */
  scalar(value: number, dtype: TensorType['dtype']): string;
}

/** One op: everything there is to know about it. */
export interface OpRecord<Attrs extends object = object> {
  readonly name: string;
  /** The mathematics, for `docs/ops.md`. */
  readonly formula: string;
  /** Types of the outputs; throws `internal:` on operands that do not fit. */
  readonly infer: (inputs: readonly TensorType[], attrs: Attrs) => readonly TensorType[];
  readonly grad: GradRule<Attrs> | 'not differentiable';
  readonly emit: (context: EmitContext<Attrs>) => void;
}

const table = new Map<string, OpRecord>();

/** The op table, by name. */
export const opTable: ReadonlyMap<string, OpRecord> = table;

/** Adds an op to the table and returns the function that applies it. */
export function defineOp<Attrs extends object>(record: OpRecord<Attrs>) {
  assert(!table.has(record.name), `defineOp: ${record.name} is defined twice`);
  table.set(record.name, record as unknown as OpRecord);
  return (inputs: readonly Value[], attrs: Attrs): readonly Value[] => {
    const id = nextId();
    const node: OpNode = { kind: 'op', id, op: record.name, inputs, attrs };
    return record
      .infer(inputs, attrs)
      .map((type, index) => ({ id: index === 0 ? id : nextId(), node, index, ...type }));
  };
}

/** `internal:` error naming the op and the operands' types, unless `condition` holds. */
export function expectOperands(
  condition: boolean,
  op: string,
  expected: string,
  inputs: readonly TensorType[],
): asserts condition {
  assert(condition, `${op}: expected ${expected}, got ${inputs.map(formatType).join(' and ')}`);
}

/** {@link expectOperands} for an axis of the first operand, counted from its first axis. */
export function expectAxis(axis: number, op: string, inputs: readonly TensorType[]): void {
  const rank = inputs[0]!.shape.length;
  expectOperands(axis >= 0 && axis < rank, op, `an axis within rank ${rank} (axis ${axis})`, inputs);
}

/** `f32[B, 4]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype}${formatShape(type.shape)}`;
}
