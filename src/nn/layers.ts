/** @file Layers with weights besides linear ones: embedding and the two norms. Shapes follow PyTorch's checkpoints. */

import { gather, layerNorm as layerNormOp, rmsNorm as rmsNormOp, type Value } from '../graph/index.ts';
import type { Scope } from './scope.ts';

/** Rows of a [count, width] table at integer `ids` of any shape. */
export function embedding(scope: Scope, ids: Value, count: number, width: number): Value {
  return gather(scope.param('weight', [count, width]), ids);
}

/** Layer normalisation over the last axis, with weight and bias. */
export function layerNorm(scope: Scope, x: Value, epsilon: number): Value {
  const width = [x.shape.at(-1) as number];
  return layerNormOp(x, scope.param('weight', width), scope.param('bias', width), epsilon);
}

/** Root-mean-square normalisation over the last axis, with weight. */
export function rmsNorm(scope: Scope, x: Value, epsilon: number): Value {
  return rmsNormOp(x, scope.param('weight', [x.shape.at(-1) as number]), epsilon);
}
