import type { OnnxModel, OnnxPort } from '../graph/index.ts';
import { check, create, pointerArray } from './api.ts';
import { Handle, Owned } from './handle.ts';
import { ort } from './library.ts';

/** `OrtMemoryInfoDeviceType` of the C API. */
const DEVICE_TYPE_CPU = 0;

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

  /** The allocator of the device that an input is read from, to be released; undefined where that is the processor. */
  allocatorOf(input: string): Handle | undefined {
    const { api } = ort();
    const session = this.owned.handle;
    const infos = pointerArray(Array.from(this.inputs, () => 0n));
    check(api, this.name, api.SessionGetMemoryInfoForInputs(session.pointer, infos, infos.length));
    const info = infos[[...this.inputs.keys()].indexOf(input)]!;
    const type = new Int32Array(1);
    api.MemoryInfoGetDeviceType(info, type);
    if (type[0] === DEVICE_TYPE_CPU) return undefined;
    const allocator = create(api, this.name, out => api.CreateAllocator(session.pointer, info, out));
    session.retain();
    return new Handle(allocator, pointer => {
      api.ReleaseAllocator(pointer);
      session.release();
    });
  }

  /** C strings of input or output names, valid while the native session is held. */
  namePointers(names: Iterable<string>): BigUint64Array {
    return pointerArray(Array.from(names, name => this.#names.get(name)!));
  }
}
