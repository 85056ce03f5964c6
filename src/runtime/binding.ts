/**
 * @file Tensors fixed to the inputs and outputs of an executable, for loops that run the same thing many times (decode
 * steps, training steps): names are resolved and tensors checked once, not at each run.
 */

import { AbortedError, assert, throwIfAborted } from '../core/index.ts';
import { callAsync, check, create, pointerArray } from './api.ts';
import { DeviceTensor } from './device-tensor.ts';
import type { Handle } from './handle.ts';
import { ort } from './library.ts';
import type { Session } from './session.ts';
import { checkComplete, checkTensor, findPort, type Symbols } from './validate.ts';

/** Tensors by input or output name. */
export type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

export interface BindOptions {
  /**
   * Tensors that outputs are written to in place. Default: ONNX Runtime allocates each output anew at each run.
   *
   * One may also be an input, but then its node may write it before other nodes have read that input: either the op
   * itself works in place (attention over a cache), or the output must depend on all that read the input (a training
   * step whose update depends on every gradient).
   */
  readonly outputs?: DeviceTensors;
  /** Names of the outputs to fetch. Default: all. */
  readonly only?: readonly string[];
}

export interface RunOptions {
  /** Cancels between two nodes of the graph; outputs and tensors bound in place are then half written. */
  readonly signal?: AbortSignal | undefined;
}

/** Reusable arguments of a run. Holds its tensors, not their memory: dispose those yourself. */
export class Binding {
  readonly #session: Session;
  readonly #fetches: readonly string[];
  readonly #inputNames: BigUint64Array;
  readonly #outputNames: BigUint64Array;
  #inputs: ReadonlyMap<string, DeviceTensor> = new Map();
  #outputs: ReadonlyMap<string, DeviceTensor> = new Map();
  #running = false;

  /** Use `Executable.bind()`. */
  constructor(session: Session, inputs: DeviceTensors, options: BindOptions) {
    this.#session = session;
    this.#fetches = options.only ?? [...session.outputs.keys()];
    this.set(inputs, options.outputs);
    this.#inputNames = session.namePointers(session.inputs.keys());
    this.#outputNames = session.namePointers(this.#fetches);
  }

  /** Replaces some inputs and in-place outputs; the others stay. Checked against all the rest. */
  set(inputs: DeviceTensors, outputs: DeviceTensors = {}): void {
    assert(!this.#running, `${this.#session.name}: binding changed during its run`);
    const [allInputs, allOutputs] = [merge(this.#inputs, inputs), merge(this.#outputs, outputs)];
    this.#check(allInputs, allOutputs);
    this.#inputs = allInputs;
    this.#outputs = allOutputs;
  }

  /**
   * Runs once on a libuv thread; a binding runs one at a time.
   * @returns the fetched outputs: bound tensors themselves, others new and the caller's to dispose.
   */
  async run(options: RunOptions = {}): Promise<Record<string, DeviceTensor>> {
    const { name, inputs: ports, owned } = this.#session;
    assert(!this.#running, `${name}: binding run twice at once`);
    throwIfAborted(options.signal, `run(${name})`);
    const session = owned.handle;
    const inputs = Array.from(ports.keys(), input => this.#inputs.get(input)!.handle);
    const outputs = this.#fetches.map(output => this.#outputs.get(output)?.handle);
    const held = [session, ...inputs, ...outputs.filter(handle => handle !== undefined)];
    for (const handle of held) handle.retain();
    this.#running = true;
    try {
      const values = await this.#call(session, inputs, outputs, options.signal);
      return this.#results(values);
    } finally {
      this.#running = false;
      for (const handle of held) handle.release();
    }
  }

  /** @returns the output values; those that were not bound are new and ours to free. */
  async #call(
    session: Handle,
    inputs: readonly Handle[],
    outputs: readonly (Handle | undefined)[],
    signal: AbortSignal | undefined,
  ): Promise<BigUint64Array> {
    const { api } = ort();
    const where = `run(${this.#session.name})`;
    const inputValues = pointerArray(inputs.map(handle => handle.pointer));
    const outputValues = pointerArray(outputs.map(handle => handle?.pointer ?? 0n));
    const [inputNames, outputNames] = [this.#inputNames, this.#outputNames];
    await withCancellation(where, signal, runOptions =>
      callAsync(
        api,
        where,
        api.Run,
        [
          session.pointer,
          runOptions,
          inputNames,
          inputValues,
          inputs.length,
          outputNames,
          outputs.length,
          outputValues,
        ],
        this,
      ),
    );
    return outputValues;
  }

  #results(values: BigUint64Array): Record<string, DeviceTensor> {
    const entries = this.#fetches.map((name, i): [string, DeviceTensor] => {
      const bound = this.#outputs.get(name);
      return [name, bound ?? DeviceTensor.adopt(this.#session.outputs.get(name)!.dtype, values[i]!)];
    });
    return Object.fromEntries(entries);
  }

  #check(inputs: ReadonlyMap<string, DeviceTensor>, outputs: ReadonlyMap<string, DeviceTensor>): void {
    const session = this.#session;
    const where = `run(${session.name})`;
    const fetched = new Set(this.#fetches);
    const symbols: Symbols = new Map();
    for (const [name, tensor] of inputs) {
      checkTensor(where, 'input', findPort(where, 'input', session.inputs, name), tensor, symbols);
    }
    checkComplete(where, session.inputs, inputs);
    for (const name of fetched) findPort(where, 'output', session.outputs, name);
    for (const [name, tensor] of outputs) {
      checkTensor(where, 'output', findPort(where, 'output', session.outputs, name), tensor, symbols);
      assert(fetched.has(name), `${where}: output "${name}" is bound but not fetched`);
    }
  }
}

function merge(tensors: ReadonlyMap<string, DeviceTensor>, more: DeviceTensors): Map<string, DeviceTensor> {
  return new Map([...tensors, ...Object.entries(more)]);
}

/** Calls `run` with native run options that `signal` terminates, or with none when there is no signal. */
async function withCancellation(
  where: string,
  signal: AbortSignal | undefined,
  run: (runOptions: bigint | null) => Promise<void>,
): Promise<void> {
  if (!signal) return run(null);
  const { api } = ort();
  const runOptions = create(api, where, out => api.CreateRunOptions(out));
  const terminate = () => check(api, where, api.RunOptionsSetTerminate(runOptions));
  signal.addEventListener('abort', terminate, { once: true });
  try {
    await run(runOptions);
  } catch (error) {
    if (signal.aborted) throw new AbortedError(`${where}: aborted`);
    throw error;
  } finally {
    signal.removeEventListener('abort', terminate);
    api.ReleaseRunOptions(runOptions);
  }
}
