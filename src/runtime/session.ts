import type { OnnxModel, OnnxPort } from '../graph/index.ts';
import { pointerArray } from './api.ts';
import { Handle, Owned } from './handle.ts';
import { ort } from './library.ts';

/** A loaded model, shared by an executable and its bindings; freed when disposed, or when all of them are gone. */
export class Session {
  /** In error messages, e.g. 'decode'. */
  readonly name: string;
  readonly inputs: ReadonlyMap<string, OnnxPort>;
  readonly outputs: ReadonlyMap<string, OnnxPort>;
  readonly owned: Owned;
  /** Addresses of the names as C strings, which live as long as the native session. */
  readonly #names: ReadonlyMap<string, bigint>;

  /** @param pointer `OrtSession` to own. */
  constructor(name: string, model: OnnxModel, pointer: bigint) {
    const { koffi, api } = ort();
    const strings = [...model.inputs, ...model.outputs].map(value => Buffer.from(`${value.name}\0`));
    this.name = name;
    this.inputs = new Map(model.inputs.map(port => [port.name, port]));
    this.outputs = new Map(model.outputs.map(port => [port.name, port]));
    this.owned = new Owned(this, `executable ${name}`, new Handle(pointer, api.ReleaseSession, strings));
    this.#names = new Map(strings.map(bytes => [bytes.toString('utf8', 0, bytes.length - 1), koffi.address(bytes)]));
  }

  /** C strings of input or output names, valid while the native session is held. */
  namePointers(names: Iterable<string>): BigUint64Array {
    return pointerArray(Array.from(names, name => this.#names.get(name)!));
  }
}
