/** @file Matrix products, with transposition flags so that weights stay as checkpoints store them ([out, in]). */

import { type Dim, mulDims, type Shape, sameDim } from '../dim.ts';
import { defineOp, type EmitContext, expectOperands, type GradOps } from '../op.ts';
import type { TensorType, Value } from '../value.ts';
import { broadcastShapes } from './elementwise.ts';
import { reshape } from './movement.ts';

interface MatMulAttrs {
  readonly transA: boolean;
  readonly transB: boolean;
  /** Factor on the product. */
  readonly alpha: number;
}

/** [rows, columns] of a matrix after its transposition flag. */
function matrixDims(shape: Shape, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  return transposed ? [columns, rows] : [rows, columns];
}

/**
 * Gradients, with A' and B' the operands after their flags: dA' = α·dy·B'ᵀ, dB' = α·A'ᵀ·dy. The flags of each product are
 * chosen so that the result comes out in the layout of the operand.
 */
function matMulGrad(g: GradOps, a: Value, b: Value, dy: Value, { transA, transB, alpha }: MatMulAttrs) {
  if (b.shape.length === 2 && a.shape.length > 2 && !transA)
    return flattenedGrad(g, a, b, dy, { transA, transB, alpha });
  const da = transA
    ? g.matMul(b, dy, { transA: transB, transB: true, alpha })
    : g.matMul(dy, b, { transB: !transB, alpha });
  const db = transB
    ? g.matMul(dy, a, { transA: true, transB: transA, alpha })
    : g.matMul(a, dy, { transA: !transA, alpha });
  return [g.sumTo(da, a.shape), g.sumTo(db, b.shape)];
}

/** A weight shared by all rows: one product over flattened rows instead of a batch of products and a sum. */
function flattenedGrad(g: GradOps, a: Value, b: Value, dy: Value, attrs: MatMulAttrs): readonly Value[] {
  const rows = a.shape.slice(0, -1).reduce(mulDims, 1);
  const [da, db] = matMulGrad(
    g,
    reshape(a, [rows, a.shape.at(-1)!]),
    b,
    reshape(dy, [rows, dy.shape.at(-1)!]),
    attrs,
  ) as [Value, Value];
  return [reshape(da, a.shape), db];
}

const applyMatMul = defineOp<MatMulAttrs>({
  name: 'matMul',
  formula: 'α·A·B, each transposed in its last two axes if flagged; dA = α·dy·Bᵀ, dB = α·Aᵀ·dy',
  infer: (inputs, { transA, transB }) => {
    const [a, b] = inputs as [TensorType, TensorType];
    const ranks = a.shape.length >= 2 && b.shape.length >= 2 && a.dtype === b.dtype;
    expectOperands(ranks, 'matMul', 'matrices of one dtype', inputs);
    const [rows, inner] = matrixDims(a.shape, transA);
    const [innerB, columns] = matrixDims(b.shape, transB);
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const flags = `transA ${transA} transB ${transB}`;
    expectOperands(
      sameDim(inner, innerB) && batch !== undefined,
      'matMul',
      `inner sizes that agree (${flags})`,
      inputs,
    );
    return [{ dtype: a.dtype, shape: [...batch, rows, columns] }];
  },
  grad: (g, { inputs, attrs, gradOutputs }) => matMulGrad(g, inputs[0]!, inputs[1]!, gradOutputs[0]!, attrs),
  emit: c => {
    const { transA, transB, alpha } = c.attrs;
    if (!transA && !transB && alpha === 1) return void c.node('MatMul', c.inputs, { outputs: c.outputs });
    if (!c.hasFusedMatMul) return emitPlain(c);
    const attributes = { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } };
    c.node('FusedMatMul', c.inputs, { domain: 'com.microsoft', attributes, outputs: c.outputs });
  },
});

/** The same of standard ops. ONNX Runtime transposes weights once, while it loads them. */
function emitPlain(c: EmitContext<MatMulAttrs>): void {
  const { transA, transB, alpha } = c.attrs;
  const operands = [transA, transB].map((flips, i) => {
    if (!flips) return c.inputs[i]!;
    const rank = c.inputTypes[i]!.shape.length;
    const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
    return c.node('Transpose', [c.inputs[i]!], { attributes: { perm } });
  });
  if (alpha === 1) return void c.node('MatMul', operands, { outputs: c.outputs });
  const factor = c.scalar(alpha, c.outputTypes[0]!.dtype);
  c.node('Mul', [c.node('MatMul', operands), factor], { outputs: c.outputs });
}

/**
 * `alpha · A · B` over the last two axes, batch axes broadcast. Defaults: no transposition, alpha 1. The inner size must not
 * be 0 at run time when there are batch axes: ONNX Runtime 1.30 then writes the first matrix only.
 */
export function matMul(a: Value, b: Value, attrs: Partial<MatMulAttrs> = {}): Value {
  return applyMatMul([a, b], { transA: false, transB: false, alpha: 1, ...attrs })[0]!;
}
