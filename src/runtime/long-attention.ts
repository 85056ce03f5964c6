/**
 * @file How many tokens a device's attention takes at once. From 32 new tokens on, WebGPU in ONNX Runtime 1.30 computes attention
 * by another kernel, which depends on the size of a subgroup: with 4, 8 and 16 (a software Vulkan device) tokens from that
 * number on came out wrong, by up to 60 %, wherever a later key scored lower than earlier ones. Below 32 it is exact to 1e-6.
 */

import { f32Tensor, type HostTensor, hostTensor } from '../core/index.ts';
import {
  buildGraph,
  constant,
  dim,
  emitOnnx,
  groupQueryAttention,
  input,
  type OnnxModel,
  type Value,
} from '../graph/index.ts';
import type { Device } from './devices.ts';
import { compile, type Executable } from './executable.ts';

/** Tokens that the kernel for few of them takes. */
const FEW_TOKENS = 31;
/** Sizes of the trial. */
const [TOKENS, WIDTH] = [64, 16];

const known = new Map<Device, Promise<number | undefined>>();

/** New tokens that one run of a decoder may have on a device; undefined for any number. Tried once. */
export function attentionLimit(device: Device): Promise<number | undefined> {
  if (device !== 'webgpu') return Promise.resolve(undefined);
  const limit = known.get(device) ?? attendsToMany(device).then(isRight => (isRight ? undefined : FEW_TOKENS));
  known.set(device, limit);
  return limit;
}

/** Scores of the trial's keys: the largest come early, late and in between. */
const SCORES = Array.from({ length: TOKENS }, (_, position) => 3 * Math.sin(7 * position));

/** What a token sees of values 0, 1, 2, … of the positions up to its own. */
function expected(token: number): number {
  const weights = SCORES.slice(0, token + 1).map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.reduce((sum, weight, position) => sum + weight * position, 0) / total;
}

/** Whether attention of 64 tokens is right on a device. */
export async function attendsToMany(device: Device): Promise<boolean> {
  using executable = await compile(trial(), { name: 'attention', device, threads: 1 });
  const y = await attend(executable);
  return y.every((value, i) => Math.abs(value - expected(Math.floor(i / WIDTH))) < 0.05);
}

async function attend(executable: Executable): Promise<number[]> {
  const rows = (at: (position: number) => number): HostTensor =>
    f32Tensor(
      [1, TOKENS, WIDTH],
      Array.from({ length: TOKENS * WIDTH }, (_, i) => at(Math.floor(i / WIDTH))),
    );
  using pastKey = executable.allocate('pastKey', [1, 1, TOKENS, WIDTH]);
  using pastValue = executable.allocate('pastValue', [1, 1, TOKENS, WIDTH]);
  const feeds = {
    query: rows(() => 1),
    key: rows(position => SCORES[position]! / Math.sqrt(WIDTH)),
    value: rows(position => position),
    ...{ pastKey, pastValue },
    lastPosition: hostTensor('i32', [1], Int32Array.of(TOKENS - 1)),
    totalLength: hostTensor('i32', [], Int32Array.of(TOKENS)),
  };
  const { y } = await executable.run(feeds, { outputs: { presentKey: pastKey, presentValue: pastValue } });
  using output = y!;
  return Array.from(output.read().data, Number);
}

/** One head of attention over a cache of its own, as decoders have it. */
function trial(): OnnxModel {
  const tokens = (name: string): Value => input(name, 'f32', [1, dim('T'), WIDTH]);
  const past = (name: string): Value => input(name, 'f32', [1, 1, dim('P'), WIDTH]);
  const table = (value: number): Value =>
    constant(f32Tensor([TOKENS, WIDTH / 2], new Float32Array((TOKENS * WIDTH) / 2).fill(value)));
  const { output, present } = groupQueryAttention(
    {
      ...{ query: tokens('query'), key: tokens('key'), value: tokens('value') },
      past: { key: past('pastKey'), value: past('pastValue') },
      ...{ lastPosition: input('lastPosition', 'i32', [1]), totalLength: input('totalLength', 'i32', []) },
      ...{ cosTable: table(1), sinTable: table(0) },
    },
    { numHeads: 1, numKeyValueHeads: 1, slidingWindow: -1 },
  );
  const graph = buildGraph({ y: output, presentKey: present.key, presentValue: present.value });
  return emitOnnx(graph, () => ({ kind: 'input' }));
}
