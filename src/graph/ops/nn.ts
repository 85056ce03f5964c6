/**
 * @file Neural-network ops that ONNX Runtime computes in one kernel and whose gradients are written here in primitive ops,
 * so that the same definition trains and serves.
 */

import { isFloat } from '../../core/index.ts';
import { mulDims, sameDim, sameShape } from '../dim.ts';
import { defineOp, expectOperands, type GradOps } from '../op.ts';
import type { TensorType, Value } from '../value.ts';

const MICROSOFT = 'com.microsoft';

function sameType([x]: readonly TensorType[]): readonly TensorType[] {
  return [{ dtype: x!.dtype, shape: x!.shape }];
}

/** Inference of an op on one float tensor of at least the given rank. */
function floatOf(op: string, rank: number) {
  return (inputs: readonly TensorType[]): readonly TensorType[] => {
    const [x] = inputs as [TensorType];
    expectOperands(isFloat(x.dtype) && x.shape.length >= rank, op, `floats of rank ${rank} or more`, inputs);
    return sameType(inputs);
  };
}

const applySoftmax = defineOp<object>({
  name: 'softmax',
  formula: 'eˣ/Σeˣ over the last axis; dx = y·(dy − Σ dy·y)',
  infer: floatOf('softmax', 1),
  grad: (g, { outputs, gradOutputs }) => {
    const [y] = outputs as [Value];
    const weighted = g.mul(gradOutputs[0]!, y);
    return [g.sub(weighted, g.mul(y, g.reduceSum(weighted, [-1], true)))];
  },
  emit: c => void c.node('Softmax', c.inputs, { attributes: { axis: -1 }, outputs: c.outputs }),
});

/** Softmax over the last axis. */
export function softmax(x: Value): Value {
  return applySoftmax([x], {})[0]!;
}

const applyLogSoftmax = defineOp<object>({
  name: 'logSoftmax',
  formula: 'x − ln Σeˣ over the last axis; dx = dy − e^y·Σ dy',
  infer: floatOf('logSoftmax', 1),
  grad: (g, { outputs, gradOutputs }) => {
    const dy = gradOutputs[0]!;
    return [g.sub(dy, g.mul(g.exp(outputs[0]!), g.reduceSum(dy, [-1], true)))];
  },
  emit: c => void c.node('LogSoftmax', c.inputs, { attributes: { axis: -1 }, outputs: c.outputs }),
});

/** Logarithm of the softmax over the last axis. */
export function logSoftmax(x: Value): Value {
  return applyLogSoftmax([x], {})[0]!;
}

const applyCrossEntropy = defineOp<object>({
  name: 'crossEntropy',
  formula: 'ln Σe^x − x[target] for each row; dx = dy·(softmax x − onehot target)',
  infer: inputs => {
    const [logits, target] = inputs as [TensorType, TensorType];
    const fits =
      isFloat(logits.dtype) &&
      logits.shape.length === 2 &&
      target.dtype === 'i64' &&
      sameShape(target.shape, logits.shape.slice(0, 1));
    expectOperands(fits, 'crossEntropy', 'logits [N, V] and i64 targets [N]', inputs);
    return [{ dtype: logits.dtype, shape: target.shape }];
  },
  grad: (g, { inputs, gradOutputs }) => {
    const [logits, target] = inputs as [Value, Value];
    const column = g.reshape(target, [target.shape[0]!, 1]);
    const shifted = g.scatterAdd(g.softmax(logits), column, g.fill(-1, column.shape), 1);
    return [g.mul(shifted, g.reshape(gradOutputs[0]!, column.shape)), null];
  },
  emit: c => {
    const logProbabilities = c.node('LogSoftmax', [c.inputs[0]!], { attributes: { axis: -1 } });
    const column = c.node('Unsqueeze', [c.inputs[1]!, c.ints([1])]);
    const picked = c.node('GatherElements', [logProbabilities, column], { attributes: { axis: 1 } });
    const flat = c.node('Squeeze', [picked, c.ints([1])]);
    c.node('Neg', [flat], { outputs: c.outputs });
  },
});

/** Cross entropy of each row of logits [N, V] against its target class [N]; natural logarithm, no reduction. */
export function crossEntropy(logits: Value, target: Value): Value {
  return applyCrossEntropy([logits, target], {})[0]!;
}

/** Sum over all axes but the last. */
function sumRows(g: GradOps, x: Value): Value {
  return g.reduceSum(
    x,
    x.shape.slice(0, -1).map((_, i) => i),
  );
}

function expectNorm(op: string, inputs: readonly TensorType[]): void {
  const [x, ...weights] = inputs as [TensorType, ...TensorType[]];
  const rows = isFloat(x.dtype) && x.shape.length > 0;
  const fits = rows && weights.every(w => w.dtype === x.dtype && sameShape(w.shape, x.shape.slice(-1)));
  expectOperands(fits, op, 'floats with weights of the last axis', inputs);
}

const applyLayerNorm = defineOp<{ readonly epsilon: number }>({
  name: 'layerNorm',
  formula: 'x̂·w + b, x̂ = (x−μ)/√(σ²+ε); dx = (dŷ − mean dŷ − x̂·mean(dŷ·x̂))/√(σ²+ε), dŷ = dy·w',
  infer: inputs => {
    expectNorm('layerNorm', inputs);
    return sameType(inputs);
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const [x, weight] = inputs as [Value, Value];
    const dy = gradOutputs[0]!;
    const centred = g.sub(x, g.reduceMean(x, [-1], true));
    const variance = g.reduceMean(g.mul(centred, centred), [-1], true);
    const inverse = g.reciprocal(g.sqrt(g.add(variance, attrs.epsilon)));
    const normal = g.mul(centred, inverse);
    const dNormal = g.mul(dy, weight);
    const projected = g.mul(normal, g.reduceMean(g.mul(dNormal, normal), [-1], true));
    const dx = g.mul(inverse, g.sub(g.sub(dNormal, g.reduceMean(dNormal, [-1], true)), projected));
    return [dx, sumRows(g, g.mul(dy, normal)), sumRows(g, dy)];
  },
  emit: c => {
    const attributes = { axis: -1, epsilon: { float: c.attrs.epsilon } };
    c.node('LayerNormalization', c.inputs, { attributes, outputs: c.outputs });
  },
});

/** Layer normalisation over the last axis. */
export function layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
  return applyLayerNorm([x, weight, bias], { epsilon })[0]!;
}

const applyRmsNorm = defineOp<{ readonly epsilon: number }>({
  name: 'rmsNorm',
  formula: 'x̂·w, x̂ = x/√(mean x² + ε); dx = (dŷ − x̂·mean(dŷ·x̂))/√(mean x² + ε), dŷ = dy·w',
  infer: inputs => {
    expectNorm('rmsNorm', inputs);
    return sameType(inputs);
  },
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const [x, weight] = inputs as [Value, Value];
    const dy = gradOutputs[0]!;
    const meanSquare = g.reduceMean(g.mul(x, x), [-1], true);
    const inverse = g.reciprocal(g.sqrt(g.add(meanSquare, attrs.epsilon)));
    const normal = g.mul(x, inverse);
    const dNormal = g.mul(dy, weight);
    const dx = g.mul(inverse, g.sub(dNormal, g.mul(normal, g.reduceMean(g.mul(dNormal, normal), [-1], true))));
    return [dx, sumRows(g, g.mul(dy, normal))];
  },
  emit: c => {
    const attributes = { axis: -1, epsilon: { float: c.attrs.epsilon }, stash_type: 1 };
    c.node('SimplifiedLayerNormalization', c.inputs, { attributes, outputs: c.outputs });
  },
});

/** Root-mean-square normalisation over the last axis. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  return applyRmsNorm([x, weight], { epsilon })[0]!;
}

const applyQuickGelu = defineOp<{ readonly alpha: number }>({
  name: 'quickGelu',
  formula: 'x·σ(αx); dx = dy·s·(1 + αx·(1−s)), s = σ(αx)',
  infer: floatOf('quickGelu', 0),
  grad: (g, { inputs, attrs, gradOutputs }) => {
    const scaled = g.mul(inputs[0]!, attrs.alpha);
    const s = g.sigmoid(scaled);
    return [g.mul(gradOutputs[0]!, g.mul(s, g.add(g.mul(scaled, g.sub(1, s)), 1)))];
  },
  emit: c => {
    const attributes = { alpha: { float: c.attrs.alpha } };
    c.node('QuickGelu', c.inputs, { domain: MICROSOFT, attributes, outputs: c.outputs });
  },
});

/** x·σ(αx): CLIP's quick GELU with α = 1.702, SiLU with α = 1. */
export function quickGelu(x: Value, alpha: number): Value {
  return applyQuickGelu([x], { alpha })[0]!;
}

const applyGelu = defineOp<object>({
  name: 'gelu',
  formula: 'x·Φ(x); dx = dy·(Φ(x) + x·φ(x))',
  infer: floatOf('gelu', 0),
  grad: (g, { inputs, gradOutputs }) => {
    const [x] = inputs as [Value];
    const cdf = g.mul(g.add(g.erf(g.mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = g.mul(g.exp(g.mul(g.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [g.mul(gradOutputs[0]!, g.add(cdf, g.mul(x, density)))];
  },
  emit: c => void c.node('Gelu', c.inputs, { attributes: { approximate: 'none' }, outputs: c.outputs }),
});

/** Exact (erf) GELU. */
export function gelu(x: Value): Value {
  return applyGelu([x], {})[0]!;
}

/** √(2/π), and the cubic term of the tanh approximation of GELU. */
const [TANH_SCALE, TANH_CUBIC] = [Math.sqrt(2 / Math.PI), 0.044715];

const applyGeluTanh = defineOp<object>({
  name: 'geluTanh',
  formula: 'x·(1 + t)/2, t = tanh(√(2/π)·(x + 0.044715x³)); dx = dy·((1 + t)/2 + x·(1 − t²)·√(2/π)·(1 + 0.134145x²)/2)',
  infer: floatOf('geluTanh', 0),
  grad: (g, { inputs, gradOutputs }) => {
    const [x] = inputs as [Value];
    const square = g.mul(x, x);
    const t = g.tanh(g.mul(g.mul(x, g.add(g.mul(square, TANH_CUBIC), 1)), TANH_SCALE));
    const slope = g.mul(g.add(g.mul(square, 3 * TANH_CUBIC), 1), TANH_SCALE);
    const second = g.mul(g.mul(x, g.sub(1, g.mul(t, t))), slope);
    return [g.mul(gradOutputs[0]!, g.mul(g.add(g.add(t, 1), second), 0.5))];
  },
  emit: c => void c.node('Gelu', c.inputs, { attributes: { approximate: 'tanh' }, outputs: c.outputs }),
});

/** GELU by its tanh approximation. */
export function geluTanh(x: Value): Value {
  return applyGeluTanh([x], {})[0]!;
}

const applyRotary = defineOp<object>({
  name: 'rotaryEmbedding',
  formula: '[x₁·cos − x₂·sin, x₂·cos + x₁·sin] of the halves x₁, x₂ at each position; dx = rotation by −θ of dy',
  infer: inputs => {
    const [x, positions, ...tables] = inputs as [TensorType, TensorType, TensorType, TensorType];
    const [batch, , tokens, width] = x.shape;
    const fits =
      x.shape.length === 4 &&
      positions.dtype === 'i64' &&
      sameShape(positions.shape, [batch!, tokens!]) &&
      tables.every(
        table => table.dtype === x.dtype && table.shape.length === 2 && sameDim(mulDims(2, table.shape[1]!), width!),
      ) &&
      sameShape(tables[0]!.shape, tables[1]!.shape);
    expectOperands(fits, 'rotaryEmbedding', 'x [B, H, T, D], positions [B, T], tables [P, D/2]', inputs);
    return sameType(inputs);
  },
  grad: (g, { inputs, gradOutputs }) => {
    const [, positions, cosTable, sinTable] = inputs as [Value, Value, Value, Value];
    return [g.rotaryEmbedding(gradOutputs[0]!, positions, cosTable, g.neg(sinTable)), null, null, null];
  },
  emit: c => void c.node('RotaryEmbedding', c.inputs, { domain: MICROSOFT, outputs: c.outputs }),
});

/**
 * Rotary position embedding in the rotate-half layout.
 * @param x [B, H, T, D]
 * @param positions i64 [B, T], rows of the tables
 * @param cosTable [P, D/2]
 * @param sinTable [P, D/2]
 */
export function rotaryEmbedding(x: Value, positions: Value, cosTable: Value, sinTable: Value): Value {
  return applyRotary([x, positions, cosTable, sinTable], {})[0]!;
}
