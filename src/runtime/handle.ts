import { assert } from '../core/index.ts';

/**
 * A native object and how many hold it: its owner, tensors that view it, runs that use it. It is freed when the last
 * one lets go, so disposing the owner during a run is safe.
 */
export class Handle {
  readonly pointer: bigint;
  /** JavaScript memory that the native object points into. */
  readonly keeps: unknown;
  readonly #free: (pointer: bigint) => void;
  #holders = 1;

  /** @param free called once, with the pointer. */
  constructor(pointer: bigint, free: (pointer: bigint) => void, keeps?: unknown) {
    this.pointer = pointer;
    this.keeps = keeps;
    this.#free = free;
  }

  retain(): this {
    assert(this.#holders > 0, 'native object retained after it was freed');
    this.#holders++;
    return this;
  }

  release(): void {
    assert(this.#holders > 0, 'native object released more often than retained');
    if (--this.#holders === 0) this.#free(this.pointer);
  }
}

/**
 * Releases handles whose owner has been garbage collected: a safety net for owners dropped without `dispose()`, and how
 * memory is kept as long as an array over it.
 */
const collector = new FinalizationRegistry<Handle>(handle => handle.release());

/** Holds `handle` until `object` is garbage collected. */
export function retainFor(object: object, handle: Handle): void {
  collector.register(object, handle.retain());
}

/** The owner's hold on a native object: let go by `dispose()`, or when `owner` is garbage collected. */
export class Owned {
  readonly #what: string;
  #handle: Handle | undefined;

  constructor(owner: object, what: string, handle: Handle) {
    this.#what = what;
    this.#handle = handle;
    collector.register(owner, handle, this);
  }

  get handle(): Handle {
    assert(this.#handle, `${this.#what} used after dispose`);
    return this.#handle;
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  dispose(): void {
    const handle = this.#handle;
    if (!handle) return;
    this.#handle = undefined;
    collector.unregister(this);
    handle.release();
  }
}
