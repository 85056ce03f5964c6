import { LlavaError } from '../core/index.ts';
import { add, buildGraph, dim, emitOnnx, input } from '../graph/index.ts';
import { DEVICES, type Device } from './devices.ts';
import { compile } from './executable.ts';

/** Whether graphs can be computed on a device here. */
export interface DeviceState {
  readonly device: Device;
  /** Absent where it works. */
  readonly problem: string | undefined;
}

/** Tries every device with a graph of one node. */
export function deviceStates(): Promise<DeviceState[]> {
  return Promise.all(DEVICES.map(async device => ({ device, problem: await problemOf(device) })));
}

async function problemOf(device: Device): Promise<string | undefined> {
  const x = input('x', 'f32', [dim('N')]);
  const model = emitOnnx(buildGraph({ y: add(x, x) }), () => ({ kind: 'input' }));
  try {
    (await compile(model, { name: 'one node', device })).dispose();
    return undefined;
  } catch (error) {
    if (error instanceof LlavaError) return error.message.replace(/^option device: /, '');
    throw error;
  }
}
