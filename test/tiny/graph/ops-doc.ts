/** @file Writes `docs/ops.md` from the op table; what each op is emitted as comes from its cases. */

import { isFloat } from '../../../src/core/index.ts';
import * as g from '../../../src/graph/index.ts';
import { CASES } from './cases/index.ts';

const HEADER = `# Ops

The op table of \`src/graph/ops\`, written by \`npx vitest run --project tiny test/tiny/graph/ops-doc.test.ts -u\`. In the
formulas x, a, b are operands, y the result, dx, da, db, dy the gradients of the loss with respect to them. Ops without a
prefix are of the standard opset 21, but for SimplifiedLayerNormalization, which is ONNX Runtime's own.

| op | formula | differentiable | ONNX |
|---|---|---|---|
`;

/** The whole file. */
export function opsDoc(): string {
  const rows = [...g.opTable.values()].map(record => {
    const cells = [record.name, record.formula, differentiable(record), onnxOps(record).join(', ')];
    return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  });
  return HEADER + rows.join('');
}

interface Application {
  readonly inputs: readonly g.Value[];
  readonly attrs: object;
  readonly outputs: readonly g.Value[];
}

/** The op's node in each of its cases. */
function applications(record: g.OpRecord): Application[] {
  return CASES.filter(one => one.op === record.name).map(one => {
    const y = one.apply(...one.operands.map(({ dtype, shape }, i) => g.input(`x${i}`, dtype, shape)));
    if (y.node.kind !== 'op') throw new Error(`${record.name}: the case ${one.title} applies no op`);
    const { inputs, attrs, id } = y.node;
    const outputs = record.infer(inputs, attrs).map((type, index) => ({ ...type, id, index, node: y.node }));
    return { inputs, attrs, outputs };
  });
}

/** 'yes' when the rule gives a gradient for every float operand, else for which, or 'no'. */
function differentiable(record: g.OpRecord): string {
  const { grad } = record;
  if (grad === 'not differentiable') return 'no';
  const { inputs, attrs, outputs } = applications(record).find(one => one.inputs.some(x => isFloat(x.dtype)))!;
  const gradients = grad(g, { inputs, attrs, outputs, gradOutputs: outputs });
  const floats = [...inputs.keys()].filter(i => isFloat(inputs[i]!.dtype));
  const covered = floats.filter(i => gradients[i] !== null);
  return covered.length === floats.length ? 'yes' : `in operand ${covered.map(i => i + 1).join(', ')}`;
}

/** Names of all nodes that the emission rule makes, over all cases, in order of appearance. */
function onnxOps(record: g.OpRecord): string[] {
  const found = new Set<string>();
  for (const { inputs, attrs, outputs } of applications(record)) {
    record.emit({
      attrs,
      inputs: inputs.map(x => `${x.id}`),
      outputs: outputs.map(y => `${y.id}`),
      inputTypes: inputs,
      outputTypes: outputs,
      hasFusedMatMul: true,
      node: (opType, _inputs, { domain } = {}) => {
        found.add(domain ? `${domain}.${opType}` : opType);
        return opType;
      },
      ints: () => 'ints',
      dims: () => 'dims',
      scalar: () => 'scalar',
    });
  }
  return [...found];
}
