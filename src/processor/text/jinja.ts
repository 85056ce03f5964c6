/**
 * @file Renders Jinja chat templates, which come with checkpoints and are trusted no more than any other file: the
 * interpreter reaches nothing but the values it is given, and what it may compute is bounded. Each value that a template
 * makes is paid for from a budget, so neither loops nor doubling can take long or fill the memory. Unlike in Python, the
 * length of a text counts UTF-16 units.
 */

import * as engine from '@huggingface/jinja';
import { LlavaError } from '../../core/index.ts';

/** A value of a template. */
interface Value {
  readonly type: string;
  readonly value: unknown;
}

interface Node {
  readonly type: string;
}

/** Declared anew, since Node's module resolution does not find the package's own types. */
interface Engine {
  readonly Environment: new () => { set(name: string, value: unknown): unknown };
  readonly Interpreter: new (
    environment: object,
  ) => { run(program: Node): Value; evaluate(node: Node | undefined, environment: object): Value };
  parse(tokens: readonly unknown[]): Node;
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): readonly unknown[];
}

const { Environment, Interpreter, parse, tokenize }: Engine = engine;

const MAX_SOURCE = 2 ** 16;
/** The lexer looks from each blank to the end of its run. */
const MAX_BLANK_RUN = 1000;
/** Values made, and characters and items in them; for each character of the input, some more. */
const BUDGET = 300_000;
const BUDGET_PER_CHARACTER = 100;
/** Longest text made, beside the input's length. */
const MAX_TEXT = 100_000;
/** Numbers are widths and counts: larger ones only serve to make texts too large. */
const MAX_NUMBER = 1_000_000;
const MAX_RANGE = 10_000;
const MAX_MILLISECONDS = 10_000;

/** A parsed template. */
export class Jinja {
  readonly #program: Node;
  readonly #where: string;

  /** @throws LlavaError that names `where`, the template's file */
  constructor(source: string, where: string) {
    if (source.length > MAX_SOURCE) throw fault(where, `${source.length} characters, above ${MAX_SOURCE}`);
    if (RegExp(`\\s{${MAX_BLANK_RUN}}`).test(source)) throw fault(where, `${MAX_BLANK_RUN} blanks in a row`);
    this.#where = where;
    // As transformers sets up its environment.
    this.#program = guarded(where, () => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
  }

  /** The text that the template makes of `variables`. Throws {@link LlavaError} that names the template's file. */
  render(variables: Readonly<Record<string, unknown>>): string {
    return guarded(this.#where, () => {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
      const interpreter = new MeteredInterpreter(environment, textLength(variables));
      return String(interpreter.run(this.#program).value);
    });
  }
}

/** What every template can use, as in transformers. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
  raise_exception: (message: unknown) => {
    throw new LlavaError(`it refuses the conversation: ${String(message)}`);
  },
  range: boundedRange,
  strftime_now: (format: unknown) => formatTime(new Date(), String(format)),
};

/** Python's `range`. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MAX_RANGE)) throw new LlavaError(`range of ${count} numbers, above ${MAX_RANGE}`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

const MONTHS = 'January February March April May June July August September October November December'.split(' ');

/** The parts of Python's `strftime` that dates in prompts use. */
function formatTime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const month = MONTHS[date.getMonth()]!;
  const parts: Readonly<Record<string, string>> = {
    '%Y': String(date.getFullYear()),
    '%m': two(date.getMonth() + 1),
    '%d': two(date.getDate()),
    '%B': month,
    '%b': month.slice(0, 3),
    '%H': two(date.getHours()),
    '%M': two(date.getMinutes()),
  };
  return format.replace(/%[YmdBbHM]/g, part => parts[part]!);
}

/** Refuses to go on when what was computed gets out of proportion to the input. */
class MeteredInterpreter extends Interpreter {
  readonly #maxText: number;
  readonly #deadline = performance.now() + MAX_MILLISECONDS;
  /** Weights of lists and mappings, which do not change once made. */
  readonly #weights = new WeakMap<object, number>();
  #budget: number;

  constructor(environment: object, inputLength: number) {
    super(environment);
    this.#maxText = MAX_TEXT + 2 * inputLength;
    this.#budget = BUDGET + BUDGET_PER_CHARACTER * inputLength;
  }

  override evaluate(node: Node | undefined, environment: object): Value {
    const value = super.evaluate(node, environment);
    const { weight } = this.#weigh(value);
    const isLookUp = node?.type === 'Identifier' || node?.type === 'MemberExpression';
    this.#pay(isLookUp ? 1 : 1 + weight);
    if (performance.now() > this.#deadline) throw new LlavaError('work without end');
    return value;
  }

  #pay(cost: number): void {
    this.#budget -= cost;
    if (this.#budget < 0) throw new LlavaError('more work than a prompt takes');
  }

  /** Characters and items in a value. One that a namespace is in can change: it is counted anew, at its own cost. */
  #weigh({ value, type }: Value): { weight: number; changes: boolean } {
    if (typeof value === 'string') {
      if (value.length > this.#maxText) throw new LlavaError(`a text of ${value.length} characters`);
      return { weight: value.length, changes: false };
    }
    if (typeof value === 'number' && Math.abs(value) > MAX_NUMBER) throw new LlavaError(`the number ${value}`);
    const items = Array.isArray(value) ? value : value instanceof Map ? [...value.values()] : [];
    if (items.length === 0) return { weight: 0, changes: type === 'NamespaceValue' };
    const known = this.#weights.get(value as object);
    if (known !== undefined) return { weight: known, changes: false };
    let [weight, changes] = [items.length, type === 'NamespaceValue'];
    for (const item of items) {
      const part = this.#weigh(item);
      weight += part.weight;
      changes ||= part.changes;
    }
    if (changes) this.#pay(weight);
    else this.#weights.set(value as object, weight);
    return { weight, changes };
  }
}

/** Characters of all texts within a value. */
function textLength(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, part) => sum + textLength(part), 0);
}

/** What a template is at fault for, be it found by us, the interpreter or the engine (depth, lengths of texts). */
function guarded<T>(where: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw fault(where, (error as Error).message);
  }
}

function fault(where: string, got: string): LlavaError {
  return new LlavaError(`${where}: expected a chat template that renders, got ${got}`);
}
