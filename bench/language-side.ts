/** @file A language model in a worker: reads prompts and writes tokens, timed there. Ours and the peers' take the same calls. */

import { Rng } from '../src/core/index.ts';
import { agreementRow, correlation } from './agreement.ts';
import { type Contest, type Row, row } from './rows.ts';
import { Worker } from './worker.ts';

/** Tokens written in each run; their times' median counts. */
const WRITTEN = 24;

/** What writing returns. */
export interface Written {
  /** Median of a token's time. */
  readonly ms: number;
  /** The likeliest tokens, one after another. */
  readonly ids: readonly number[];
}

/** A model in a worker. */
export class LanguageSide implements AsyncDisposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** @param args what the worker's command `load` takes */
  static async load(worker: string, args: object): Promise<LanguageSide> {
    const side = new LanguageSide(Worker.node(worker));
    try {
      await side.#worker.call('load', args);
      return side;
    } catch (error) {
      await side[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Milliseconds of reading a prompt. */
  read(ids: readonly number[]): Promise<number> {
    return this.#worker.call('read', { ids });
  }

  write(ids: readonly number[], count = WRITTEN): Promise<Written> {
    return this.#worker.call('write', { ids, count });
  }

  /** Logits after a prompt, or their log-probabilities; null where there is none. */
  logits(ids: readonly number[]): Promise<(number | null)[]> {
    return this.#worker.call('logits', { ids });
  }

  /** Megabytes that the process holds. */
  async megabytes(): Promise<number> {
    return (await this.#worker.call<number>('memory')) / 1e6;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#worker[Symbol.asyncDispose]();
  }
}

/** Two models that ought to be the same. */
export interface Pair {
  readonly name: string;
  readonly peerName: string;
  readonly ours: LanguageSide;
  readonly peer: LanguageSide;
}

/** Ids that every tokenizer has, none of them special. */
export function randomIds(count: number): number[] {
  const rng = new Rng(count);
  return Array.from({ length: count }, () => 300 + rng.int(1000));
}

const CHECKED = 64;

/** How alike the logits after a prompt are; throws when less than `least`. */
export async function checkLogits({ name, peerName, ours, peer }: Pair, least: number): Promise<Row> {
  const ids = randomIds(CHECKED);
  const values = async (side: LanguageSide) => (await side.logits(ids)).map(value => value ?? Number.NaN);
  const alike = correlation(await values(ours), await values(peer));
  const unit = 'correlation';
  return agreementRow({ name: `${name}: logits after ${CHECKED} tokens`, ours: alike, peer: 1, peerName, unit }, least);
}

export function reading({ name, peerName, ours, peer }: Pair, tokens: number): Contest {
  const ids = randomIds(tokens);
  return { name: `${name}: read ${tokens} tokens`, peerName, ours: () => ours.read(ids), peer: () => peer.read(ids) };
}

export function writing({ name, peerName, ours, peer }: Pair, tokens: number): Contest {
  const ids = randomIds(tokens);
  const time = async (side: LanguageSide) => (await side.write(ids)).ms;
  return { name: `${name}: write a token after ${tokens}`, peerName, ours: () => time(ours), peer: () => time(peer) };
}

/** Memory of both processes, after what they have done. */
export async function memoryRow({ name, peerName, ours, peer }: Pair): Promise<Row> {
  const [mine, theirs] = [await ours.megabytes(), await peer.megabytes()];
  return row({ name: `${name}: resident memory`, ours: mine, peer: theirs, peerName, unit: 'MB', n: 1 });
}
