import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { hostTensor, Rng } from '../../../src/core/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import { model, node, value } from '../../tiny/runtime/onnx-bytes.ts';

const STATUS = '/proc/self/status';
const MEGABYTE = 2 ** 20;
const WIDTH = 2048;
const LAYERS = 8;
const LAYER_BYTES = WIDTH * WIDTH * 4;

const folder = mkdtempSync(join(tmpdir(), 'llava-weights-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Memory in MB that no file backs: a mapped file that was only read does not count. */
function anonymousMemory(): number {
  const status = readFileSync(STATUS, 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)![1]) / 1024;
}

const file = join(folder, 'weights.bin');
const rng = new Rng(1);
const layer = () => Buffer.from(Uint32Array.from({ length: WIDTH * WIDTH }, () => rng.nextUint32() >>> 8).buffer);
writeFileSync(file, Buffer.concat(Array.from({ length: LAYERS }, layer)));

const stack = model({
  nodes: Array.from({ length: LAYERS }, (_, i) => node('MatMul', [i ? `t${i}` : 'x', `w${i}`], [`t${i + 1}`])),
  inputs: [value('x', ['n', WIDTH])],
  outputs: [value(`t${LAYERS}`, ['n', WIDTH])],
  initializers: Array.from({ length: LAYERS }, (_, i) => ({
    name: `w${i}`,
    dtype: 'f32' as const,
    shape: [WIDTH, WIDTH],
    data: { location: file.slice(1), offset: i * LAYER_BYTES, length: LAYER_BYTES },
  })),
});

test.skipIf(!existsSync(STATUS)).each([
  { prepack: true, copies: 1 },
  { prepack: false, copies: 0 },
])(
  '128 MB of weights take $copies copies of memory with prepack $prepack (needs /proc)',
  async ({ prepack, copies }) => {
    const before = anonymousMemory();
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, anonymousMemory());
    }, 2);
    using executable = await compile(stack, { prepack });
    clearInterval(timer);
    const total = (LAYERS * LAYER_BYTES) / MEGABYTE;
    const after = anonymousMemory();
    console.log(
      `prepack ${prepack}: ${total} MB, after ${(after - before).toFixed(0)}, peak ${(peak - before).toFixed(0)}`,
    );
    expect(Math.abs(after - before - copies * total)).toBeLessThan(0.2 * total);
    expect(peak - before).toBeLessThan((copies + 0.3) * total);
    const results = await executable.run({ x: hostTensor('f32', [1, WIDTH]) });
    expect(results[`t${LAYERS}`]!.read().data.every(x => x === 0)).toBe(true);
  },
);
