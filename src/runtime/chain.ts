/**
 * @file Executables that run one after another as one: what one makes, those after it may read by the same name. A large model is
 * compiled so in several parts at once: ONNX Runtime packs the weights of a session on one thread alone.
 */

import { assert } from '../core/index.ts';
import type { OnnxPort } from '../graph/index.ts';
import type { Binding, BindOptions, DeviceTensors, RunOptions } from './binding.ts';
import type { DeviceTensor } from './device-tensor.ts';
import type { Executable } from './executable.ts';

/** What a sequence needs of its decoder. An {@link Executable} is one, too. */
export interface Program extends Disposable {
  readonly inputs: readonly OnnxPort[];
  bind(inputs: DeviceTensors, options?: Pick<BindOptions, 'outputs'>): BoundProgram;
  allocate(input: string, shape: readonly number[]): DeviceTensor;
  isHostInput(input: string): boolean;
  dispose(): void;
}

/** A program with tensors fixed to its inputs and outputs. */
export interface BoundProgram {
  set(inputs: DeviceTensors, outputs?: DeviceTensors): void;
  run(options?: RunOptions): Promise<unknown>;
}

/** The executables as one program, whose inputs are those that none of them makes. */
export function chain(parts: readonly Executable[]): Program {
  const [first] = parts;
  assert(first, 'chain of no executables');
  return parts.length === 1 ? first : new Chain(parts);
}

class Chain implements Program {
  readonly inputs: readonly OnnxPort[];
  readonly #parts: readonly Executable[];

  constructor(parts: readonly Executable[]) {
    const made = new Set(parts.flatMap(part => part.outputs.map(({ name }) => name)));
    const ports = parts.flatMap(part => part.inputs.filter(({ name }) => !made.has(name)));
    this.inputs = [...new Map(ports.map(port => [port.name, port])).values()];
    this.#parts = parts;
  }

  bind(inputs: DeviceTensors, { outputs = {} }: Pick<BindOptions, 'outputs'> = {}): BoundProgram {
    return new ChainBinding(this.#parts, inputs, outputs);
  }

  allocate(input: string, shape: readonly number[]): DeviceTensor {
    return this.#reader(input).allocate(input, shape);
  }

  isHostInput(input: string): boolean {
    return this.#reader(input).isHostInput(input);
  }

  dispose(): void {
    for (const part of this.#parts) part.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #reader(input: string): Executable {
    const part = this.#parts.find(({ inputs }) => inputs.some(({ name }) => name === input));
    assert(part, `chain without an input ${input}`);
    return part;
  }
}

/** What is not bound and made on the way is freed at the end of each run. */
class ChainBinding implements BoundProgram {
  readonly #parts: readonly Executable[];
  readonly #bindings: Binding[] = [];
  #inputs: DeviceTensors;
  #outputs: DeviceTensors;

  constructor(parts: readonly Executable[], inputs: DeviceTensors, outputs: DeviceTensors) {
    [this.#parts, this.#inputs, this.#outputs] = [parts, inputs, outputs];
  }

  set(inputs: DeviceTensors, outputs: DeviceTensors = {}): void {
    this.#inputs = { ...this.#inputs, ...inputs };
    this.#outputs = { ...this.#outputs, ...outputs };
  }

  async run(options: RunOptions = {}): Promise<void> {
    const carried: Record<string, DeviceTensor> = {};
    try {
      for (const [i, part] of this.#parts.entries()) {
        const made = await this.#bound(i, part, { ...this.#inputs, ...carried }).run(options);
        for (const [name, tensor] of Object.entries(made)) if (!(name in this.#outputs)) carried[name] = tensor;
      }
    } finally {
      for (const tensor of Object.values(carried)) tensor.dispose();
    }
  }

  #bound(i: number, part: Executable, available: DeviceTensors): Binding {
    const [inputs, outputs] = [pick(available, part.inputs), pick(this.#outputs, part.outputs)];
    if (this.#bindings[i]) this.#bindings[i].set(inputs, outputs);
    else this.#bindings[i] = part.bind(inputs, { outputs });
    return this.#bindings[i];
  }
}

function pick(tensors: DeviceTensors, ports: readonly OnnxPort[]): DeviceTensors {
  return Object.fromEntries(ports.flatMap(({ name }) => (tensors[name] ? [[name, tensors[name]]] : [])));
}
