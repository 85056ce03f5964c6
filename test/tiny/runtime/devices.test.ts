/** @file Devices: which there are, and what is said where one is not. Those that need hardware are run in the gpu tier. */

import { expect, test } from 'vitest';
import { f32Tensor, LlavaError } from '../../../src/core/index.ts';
import { attentionLimit, compile, DEVICES, deviceStates } from '../../../src/runtime/index.ts';
import { attendsToMany } from '../../../src/runtime/long-attention.ts';
import { addModel } from './onnx-bytes.ts';

test('the processor works, and every other device works or says in one line what it needs', async () => {
  const states = await deviceStates();
  expect(states.map(({ device }) => device)).toEqual(DEVICES);
  expect(states[0]).toEqual({ device: 'cpu', problem: undefined });
  for (const { device, problem } of states) {
    if (problem !== undefined) expect(problem).toMatch(new RegExp(`^expected [^\n]*\\b${device}\\b[^\n]*$`));
    if (problem !== undefined) expect(problem).toContain('it needs');
  }
});

test.skipIf(process.platform === 'darwin')('a device that this build does not hold is refused by name', async () => {
  const error = await compile(addModel(), { device: 'coreml' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LlavaError);
  expect((error as Error).message).toMatch(
    /^option device: expected one that ONNX Runtime 1\.30\.\d holds on \S+ \(cpu.*\), got coreml \(it needs macOS/,
  );
});

test('an unknown device is refused with the list of those known', async () => {
  const error = await compile(addModel(), { device: 'gpu' as 'cpu' }).catch((reason: unknown) => reason);
  expect((error as Error).message).toBe('option device: expected one of cpu, cuda, webgpu, coreml, dml, got gpu');
});

test('memory for an input lies where its device reads it: the processor, here', async () => {
  using executable = await compile(addModel());
  const [{ name } = { name: '' }] = executable.inputs;
  using tensor = executable.allocate(name, [3]);
  expect(executable.isHostInput(name)).toBe(true);
  tensor.write(f32Tensor([3], [1, 2, 3]).data);
  expect(Array.from(tensor.read().data as Float32Array)).toEqual([1, 2, 3]);
});

test('attention of many tokens is right on the processor, and they are not limited there', async () => {
  expect(await attendsToMany('cpu')).toBe(true);
  expect(await attentionLimit('cpu')).toBeUndefined();
});
