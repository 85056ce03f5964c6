/**
 * @file A reader of Python pickles that runs nothing. A pickle is a program for a stack machine (source: the opcode table
 * of CPython's `pickletools.py`), and in Python it may call anything. Here it makes numbers, text, lists, tuples (both are
 * arrays) and dicts (maps), and what the caller's {@link PickleHooks} make of the few names that they know; any other name
 * is refused. The opcodes are those of protocols 2 to 5 that such values need; code of the text protocols 0 and 1 is not
 * read, torch never wrote it. Length, opcodes and names are limited, so time and memory are.
 */

import { LlavaError } from '../../core/index.ts';
import { quoteName } from '../files.ts';
import type { ByteReader } from './byte-reader.ts';

/** Meaning of what a pickle refers to. Each throws {@link PickleError} for what it does not know. */
export interface PickleHooks {
  /** A class or function by module and name. */
  global(module: string, name: string): PickleGlobal;
  /** An object kept outside of the pickle. */
  persistent(id: unknown): unknown;
}

/** A name that a pickle may mention; `call` is what calling it means, for those that may be called. */
export interface PickleGlobal {
  readonly global: string;
  readonly call?: (args: readonly unknown[]) => unknown;
}

/** `expected X, got Y`; the reader adds where. */
export class PickleError extends Error {
  constructor(expected: string, got: string) {
    super(`expected ${expected}, got ${got}`);
  }
}

/** Most bytes of a pickle. State dicts of 70 billion parameters have pickles of under a megabyte. */
export const MAX_PICKLE_BYTES = 2 ** 26;

/** Torch writes about 40 a tensor. */
const MAX_OPCODES = 2 ** 19;
const MAX_NAME_BYTES = 256;
const MAX_INTEGER_BYTES = 8;

/** Reads one pickle, up to its STOP. Throws LlavaError that names the place. */
export function readPickle(reader: ByteReader, hooks: PickleHooks): unknown {
  const machine = new Machine(reader, hooks);
  for (let steps = 0; steps < MAX_OPCODES; steps++) {
    const at = reader.position;
    const code = reader.byte();
    if (code === STOP) return machine.result();
    const operation = OPERATIONS.get(code);
    if (!operation) reader.fail('an opcode that tensors need', `0x${code.toString(16).padStart(2, '0')}`, at);
    try {
      operation(machine);
    } catch (error) {
      if (!(error instanceof PickleError)) throw error;
      throw new LlavaError(`${reader.where} byte ${at}: ${error.message}`);
    }
  }
  return reader.fail(`a pickle of at most ${MAX_OPCODES} opcodes`, 'a longer one');
}

/** What a value is called in errors. */
export function kindOf(value: unknown): string {
  if (value === null) return 'None';
  if (Array.isArray(value)) return 'a list or tuple';
  if (value instanceof Map) return 'a dict';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'object' && 'global' in value) return `the name ${value.global}`;
  if (typeof value === 'string') return quoteName(value);
  return typeof value === 'object' ? 'an object' : String(value);
}

/** The stack, the marks in it, and the memo. */
class Machine {
  readonly reader: ByteReader;
  readonly hooks: PickleHooks;
  readonly #stack: unknown[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(reader: ByteReader, hooks: PickleHooks) {
    this.reader = reader;
    this.hooks = hooks;
  }

  /** Lowest place of the stack that may be taken: values below a mark wait for its end. */
  get #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    if (this.#stack.length > this.#floor) return this.#stack.pop();
    throw new PickleError('a value on the stack', 'none');
  }

  top(): unknown {
    if (this.#stack.length > this.#floor) return this.#stack.at(-1);
    throw new PickleError('a value on the stack', 'none');
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Everything above the last mark, which goes too. */
  popMark(): unknown[] {
    const start = this.#marks.pop();
    if (start === undefined) throw new PickleError('a mark on the stack', 'none');
    return this.#stack.splice(start);
  }

  popMany(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  remember(index = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) throw new PickleError('a place of the memo that was set', `${index}`);
    this.push(this.#memo.get(index));
  }

  result(): unknown {
    if (this.#stack.length === 1 && this.#marks.length === 0) return this.#stack[0];
    return this.reader.fail('one value at the end of a pickle', `${this.#stack.length}`);
  }
}

const STOP = 0x2e;

type Operation = (machine: Machine) => void;

/** Opcodes whose argument is a length of `bytes` bytes and then as much content. */
function counted(bytes: number, read: (reader: ByteReader, length: number) => unknown): Operation {
  return m => m.push(read(m.reader, m.reader.unsigned(bytes)));
}

const text = (reader: ByteReader, length: number): string => reader.text(length);
const binary = (reader: ByteReader, length: number): Uint8Array => reader.take(length);
/** Strings of Python 2, each byte a character. */
const latin1 = (reader: ByteReader, length: number): string => Buffer.from(reader.take(length)).toString('latin1');

const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, m => checkProtocol(m.reader.byte())],
  [0x95, m => void m.reader.take(8)], // FRAME: how much to buffer
  [0x28, m => m.mark()],
  [0x30, m => void m.pop()],
  [0x31, m => void m.popMark()],
  [0x32, m => m.push(m.top())],
  [0x4e, m => m.push(null)],
  [0x88, m => m.push(true)],
  [0x89, m => m.push(false)],
  [0x4a, m => m.push(m.reader.unsigned(4) | 0)],
  [0x4b, m => m.push(m.reader.byte())],
  [0x4d, m => m.push(m.reader.unsigned(2))],
  [0x8a, m => m.push(readInteger(m.reader, m.reader.byte()))],
  [0x8b, m => m.push(readInteger(m.reader, m.reader.unsigned(4)))],
  [0x47, m => m.push(Buffer.from(m.reader.take(8)).readDoubleBE())],
  [0x55, counted(1, latin1)],
  [0x54, counted(4, latin1)],
  [0x8c, counted(1, text)],
  [0x58, counted(4, text)],
  [0x8d, counted(8, text)],
  [0x43, counted(1, binary)],
  [0x42, counted(4, binary)],
  [0x8e, counted(8, binary)],
  [0x5d, m => m.push([])],
  [0x61, m => append(m, [m.pop()])],
  [0x65, m => append(m, m.popMark())],
  [0x29, m => m.push([])],
  [0x74, m => m.push(m.popMark())],
  [0x85, m => m.push(m.popMany(1))],
  [0x86, m => m.push(m.popMany(2))],
  [0x87, m => m.push(m.popMany(3))],
  [0x7d, m => m.push(new Map())],
  [0x73, m => setItems(m, m.popMany(2))],
  [0x75, m => setItems(m, m.popMark())],
  [0x71, m => m.remember(m.reader.byte())],
  [0x72, m => m.remember(m.reader.unsigned(4))],
  [0x94, m => m.remember()],
  [0x68, m => m.recall(m.reader.byte())],
  [0x6a, m => m.recall(m.reader.unsigned(4))],
  [0x63, m => pushGlobal(m, m.reader.line(MAX_NAME_BYTES), m.reader.line(MAX_NAME_BYTES))],
  [0x93, m => pushNamed(m)],
  [0x51, m => m.push(m.hooks.persistent(m.pop()))],
  [0x52, m => call(m)],
  [0x81, m => call(m)], // NEWOBJ: cls.__new__(*args), the same for the classes that hooks know
  [0x62, m => build(m)],
]);

function checkProtocol(protocol: number): void {
  if (protocol < 2 || protocol > 5) throw new PickleError('a pickle of protocol 2 to 5', `${protocol}`);
}

/** A two's complement integer; a number where that is exact. */
function readInteger(reader: ByteReader, length: number): number | bigint {
  // torch's magic number has ten bytes; nothing that it counts needs more than eight.
  if (length > MAX_INTEGER_BYTES + 2) throw new PickleError('an integer of at most 10 bytes', `${length} bytes`);
  const bytes = reader.take(length);
  const magnitude = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const value = BigInt.asIntN(8 * length, magnitude);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Not with spread: a call takes only so many arguments. */
function append(machine: Machine, items: readonly unknown[]): void {
  const list = machine.top();
  if (!Array.isArray(list)) throw new PickleError('a list to append to', kindOf(list));
  for (const item of items) list.push(item);
}

function setItems(machine: Machine, items: readonly unknown[]): void {
  const dict = machine.top();
  if (!(dict instanceof Map)) throw new PickleError('a dict to put items into', kindOf(dict));
  if (items.length % 2 !== 0) throw new PickleError('pairs of keys and values', `${items.length} values`);
  for (let i = 0; i < items.length; i += 2) dict.set(checkKey(items[i]), items[i + 1]);
}

function checkKey(key: unknown): string | number | bigint | boolean {
  if (['string', 'number', 'bigint', 'boolean'].includes(typeof key)) return key as string;
  throw new PickleError('text or a number as key of a dict', kindOf(key));
}

function pushGlobal(machine: Machine, module: string, name: string): void {
  machine.push(machine.hooks.global(module, name));
}

function pushNamed(machine: Machine): void {
  const [module, name] = machine.popMany(2);
  if (typeof module !== 'string' || typeof name !== 'string' || module.length + name.length > 2 * MAX_NAME_BYTES) {
    throw new PickleError('a module and a name', `${kindOf(module)} and ${kindOf(name)}`);
  }
  pushGlobal(machine, module, name);
}

function call(machine: Machine): void {
  const [target, args] = machine.popMany(2);
  if (!Array.isArray(args)) throw new PickleError('a tuple of arguments', kindOf(args));
  const run = typeof target === 'object' && target !== null && 'global' in target && (target as PickleGlobal).call;
  if (!run) throw new PickleError('something that may be called', kindOf(target));
  machine.push(run(args));
}

/** Attributes of an object. Dicts may have some (`_metadata` of torch's state dicts), which do not matter here. */
function build(machine: Machine): void {
  machine.pop();
  const target = machine.top();
  if (!(target instanceof Map)) throw new PickleError('attributes of a dict only', `some for ${kindOf(target)}`);
}
