/**
 * @file Byte-pair merging: the best adjacent pair is merged until no pair merges. A binary heap over candidate pairs
 * and a linked list over symbols keep it O(n log n), also on long runs of one character.
 *
 * A symbol is named by the index of its first initial symbol; merging `left` with `right` keeps the name `left`.
 */

/** What the two kinds of BPE (ranked merges, scored pieces) supply. */
export interface PairRules {
  /**
   * Cost of merging the neighbours `left` and `right`, where `right` ends before the initial symbol `end`: the lowest
   * merges first, the leftmost among equals. `undefined` when the pair does not merge.
   */
  cost(left: number, right: number, end: number): number | undefined;
  /** Told of each merge, before the costs of the new pairs are asked. */
  merge?(left: number, right: number, end: number): void;
}

/** Merges `count` initial symbols and returns the names of those left, in order. */
export function mergePairs(count: number, rules: PairRules): number[] {
  const symbols = new SymbolList(count);
  const queue = new PairQueue(3 * count);
  const offer = (left: number, right: number): void => {
    if (left < 0 || right >= count) return;
    const end = symbols.next(right);
    const cost = rules.cost(left, right, end);
    if (cost !== undefined) queue.push(cost, left, right, end);
  };
  for (let i = 0; i + 1 < count; i++) offer(i, i + 1);
  while (queue.pop()) {
    const { left, right, end } = queue;
    if (!symbols.adjoin(left, right, end)) continue;
    symbols.join(left, right);
    rules.merge?.(left, right, end);
    offer(symbols.previous(left), left);
    offer(left, end);
  }
  return symbols.names();
}

/** Symbols 0 … count−1 as a doubly linked list; −1 precedes the first, `count` follows the last. */
class SymbolList {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    this.#next = new Int32Array(count);
    this.#previous = new Int32Array(count);
    for (let i = 0; i < count; i++) [this.#next[i], this.#previous[i]] = [i + 1, i - 1];
  }

  next(symbol: number): number {
    return this.#next[symbol]!;
  }

  previous(symbol: number): number {
    return this.#previous[symbol]!;
  }

  /** True while `left` and `right` are neighbours and `right` still ends before `end`; a joined symbol has next −1. */
  adjoin(left: number, right: number, end: number): boolean {
    return this.#next[left] === right && this.#next[right] === end;
  }

  join(left: number, right: number): void {
    const end = this.#next[right]!;
    this.#next[left] = end;
    this.#next[right] = -1;
    if (end < this.#count) this.#previous[end] = left;
  }

  names(): number[] {
    const names: number[] = [];
    for (let symbol = 0; symbol < this.#count; symbol = this.next(symbol)) names.push(symbol);
    return names;
  }
}

/** Binary min-heap of pairs by (cost, left). `pop` leaves the pair it took in `left`, `right` and `end`. */
class PairQueue {
  left = 0;
  right = 0;
  end = 0;
  #size = 0;
  #used = 0;
  readonly #heap: Int32Array;
  readonly #cost: Float64Array;
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #end: Int32Array;

  constructor(capacity: number) {
    this.#heap = new Int32Array(capacity);
    this.#cost = new Float64Array(capacity);
    this.#left = new Int32Array(capacity);
    this.#right = new Int32Array(capacity);
    this.#end = new Int32Array(capacity);
  }

  push(cost: number, left: number, right: number, end: number): void {
    const pair = this.#used++;
    this.#cost[pair] = cost;
    this.#left[pair] = left;
    this.#right[pair] = right;
    this.#end[pair] = end;
    this.#siftUp(this.#size++, pair);
  }

  pop(): boolean {
    if (this.#size === 0) return false;
    const top = this.#heap[0]!;
    this.left = this.#left[top]!;
    this.right = this.#right[top]!;
    this.end = this.#end[top]!;
    const last = this.#heap[--this.#size]!;
    if (this.#size > 0) this.#siftDown(last);
    return true;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#cost[a]! - this.#cost[b]!;
    return difference < 0 || (difference === 0 && this.#left[a]! < this.#left[b]!);
  }

  #siftUp(from: number, pair: number): void {
    let slot = from;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!this.#before(pair, this.#heap[parent]!)) break;
      this.#heap[slot] = this.#heap[parent]!;
      slot = parent;
    }
    this.#heap[slot] = pair;
  }

  #siftDown(pair: number): void {
    let slot = 0;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#before(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!this.#before(this.#heap[child]!, pair)) break;
      this.#heap[slot] = this.#heap[child]!;
      slot = child;
    }
    this.#heap[slot] = pair;
  }
}
