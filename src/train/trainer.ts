/**
 * @file A model in training: parameters, gradients and optimizer moments as buffers in ONNX Runtime, and two executables
 * over them, one for forward and backward of a micro-batch, one for the update.
 */

import { assert, type HostTensor, LlavaError } from '../core/index.ts';
import { emitOnnx } from '../graph/index.ts';
import { type Binding, compile, DeviceTensor, type Executable } from '../runtime/index.ts';
import { updateGraph } from './optimizer.ts';
import { type Objective, stepGraph } from './step-graph.ts';
import { type OptimizerOptions, STEP_SCALARS, slots, stateSlots, type UpdatedParam } from './updated-param.ts';

/** A micro-batch: host tensors by input name. */
export type BatchFeeds = Readonly<Record<string, HostTensor>>;

/** What {@link createTrainer} needs. */
export interface TrainerOptions {
  readonly objective: Objective;
  /** The parameters to train, in a fixed order; the others of the objective stay frozen. */
  readonly trained: readonly UpdatedParam[];
  /** Value of a parameter at the start. */
  readonly initial: (name: string) => HostTensor;
  readonly optimizer: OptimizerOptions;
  /** Threads of a run. Default: all cores. */
  readonly threads?: number;
}

/** Optimizer state as named tensors (`m:` and `v:` slots), for checkpoints. */
export type OptimizerState = ReadonlyMap<string, HostTensor>;

/** Compiles the two graphs and places all buffers. */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const names = options.trained.map(p => p.name);
  const trained = new Set(names);
  const step = emitOnnx(stepGraph(options.objective, names), port =>
    trained.has(port.name) ? { kind: 'input' } : { kind: 'host', tensor: options.initial(port.name) },
  );
  const update = emitOnnx(updateGraph(options.trained, options.optimizer), () => ({ kind: 'input' }));
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const executables = await Promise.all([
    compile(step, { name: 'training step', ...threads }),
    compile(update, { name: 'parameter update', ...threads }),
  ]);
  return new Trainer(options, ...executables);
}

/** Loss and gradient norm (before clipping) of one update. */
export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

/** Trains in place. Dispose it to free the buffers. */
export class Trainer implements Disposable {
  readonly #step: Executable;
  readonly #update: Executable;
  readonly #buffers = new Map<string, DeviceTensor>();
  readonly #scalars = new Map<string, DeviceTensor>();
  readonly #updateBinding: Binding;
  readonly #options: TrainerOptions;
  #updates = 0;

  /** Use {@link createTrainer}. */
  constructor(options: TrainerOptions, step: Executable, update: Executable) {
    this.#options = options;
    this.#step = step;
    this.#update = update;
    for (const param of options.trained) {
      for (const slot of [slots(param.name).grad, ...stateSlots(param)])
        this.#buffers.set(slot, DeviceTensor.zeros('f32', param.shape));
      this.#buffers.get(param.name)!.write(options.initial(param.name).data);
    }
    for (const name of [...STEP_SCALARS, 'weight', 'loss', 'gradNorm']) {
      this.#scalars.set(name, DeviceTensor.zeros('f32', []));
    }
    this.#updateBinding = this.#bindUpdate();
  }

  /** Updates done so far. */
  get updates(): number {
    return this.#updates;
  }

  /** One update from the gradients of `microBatches`, each weighted equally. Feeds the step graph does not know are ignored. */
  async step(microBatches: readonly BatchFeeds[], lr: number): Promise<StepResult> {
    assert(microBatches.length > 0, 'Trainer.step: no micro-batches');
    let loss = 0;
    for (const batch of microBatches) loss += await this.#accumulate(batch, 1 / microBatches.length);
    const gradNorm = await this.#applyUpdate(lr);
    return { loss: loss / microBatches.length, gradNorm };
  }

  /** Loss of a batch without training on it. */
  async evaluate(batch: BatchFeeds): Promise<number> {
    const { loss } = await this.#step.run(this.#feeds(batch), { only: ['loss'] });
    const value = readScalar(loss!);
    loss!.dispose();
    return value;
  }

  /** Current value of a trained parameter. */
  read(name: string): HostTensor {
    return this.#buffers.get(name)!.read();
  }

  /** Moments of all parameters. */
  optimizerState(): OptimizerState {
    const moments = [...this.#buffers].filter(([name]) => name.startsWith('m:') || name.startsWith('v:'));
    return new Map(moments.map(([name, tensor]) => [name, tensor.read()]));
  }

  /** Puts back parameters and moments saved after `updates` updates. */
  restore(tensor: (slot: string) => HostTensor, updates: number): void {
    for (const slot of this.#options.trained.flatMap(stateSlots)) this.#buffers.get(slot)!.write(tensor(slot).data);
    this.#updates = updates;
  }

  dispose(): void {
    for (const tensor of [...this.#buffers.values(), ...this.#scalars.values()]) tensor.dispose();
    this.#step.dispose();
    this.#update.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #feeds(batch: BatchFeeds): Record<string, HostTensor | DeviceTensor> {
    const feeds: Record<string, HostTensor | DeviceTensor> = {};
    for (const { name } of this.#step.inputs) {
      const feed = batch[name] ?? this.#buffers.get(name) ?? this.#scalars.get(name);
      assert(feed, `Trainer: nothing to feed to ${name}`);
      feeds[name] = feed;
    }
    return feeds;
  }

  async #accumulate(batch: BatchFeeds, weight: number): Promise<number> {
    this.#scalars.get('weight')!.write(Float32Array.of(weight));
    const outputs: Record<string, DeviceTensor> = { loss: this.#scalars.get('loss')! };
    for (const { name } of this.#options.trained) {
      const { grad } = slots(name);
      outputs[`${grad}.next`] = this.#buffers.get(grad)!;
    }
    await this.#step.run(this.#feeds(batch), { outputs });
    const loss = readScalar(outputs.loss!);
    if (Number.isFinite(loss)) return loss;
    throw new LlavaError(
      `train: expected a finite loss, got ${loss} at update ${this.#updates + 1}; lower the learning rate`,
    );
  }

  async #applyUpdate(lr: number): Promise<number> {
    const { beta1, beta2 } = this.#options.optimizer;
    const t = ++this.#updates;
    const scalars = { lr, firstCorrection: 1 - beta1 ** t, secondCorrection: Math.sqrt(1 - beta2 ** t) };
    for (const name of STEP_SCALARS) this.#scalars.get(name)!.write(Float32Array.of(scalars[name]));
    await this.#updateBinding.run();
    for (const { name } of this.#options.trained)
      this.#buffers
        .get(slots(name).grad)!
        .view()
        .fill(0 as never);
    return readScalar(this.#scalars.get('gradNorm')!);
  }

  #bindUpdate(): Binding {
    const tensor = (name: string) => (this.#buffers.get(name) ?? this.#scalars.get(name))!;
    const inputs = Object.fromEntries(this.#update.inputs.map(({ name }) => [name, tensor(name)]));
    const outputs = Object.fromEntries(
      this.#update.outputs.map(({ name }) => [name, tensor(name.replace(/\.next$/, ''))]),
    );
    return this.#update.bind(inputs, { outputs });
  }
}

function readScalar(tensor: DeviceTensor): number {
  return Number(tensor.read().data[0]);
}
