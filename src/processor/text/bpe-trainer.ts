/**
 * @file Learns merges: the most frequent adjacent pair of symbols becomes a new symbol, again and again. Pair counts
 * are kept up to date word by word, so a merge costs what it changes. Ties go to the pair with the lower ids.
 */

/** A merge learnt: ids of its two sides and of its result. */
export interface LearntMerge {
  readonly left: number;
  readonly right: number;
  readonly result: number;
}

/** Side of the square that packs a pair of ids into one number. */
const PAIR = 2 ** 26;

/**
 * Learns merges over `words` (symbol ids, with how often each occurs) until `tokens`, the token of each id, holds
 * `vocabSize`, or no pair occurs twice. New tokens are appended to `tokens`; results in `reserved` are not formed.
 */
export function learnMerges(
  words: readonly { readonly ids: readonly number[]; readonly count: number }[],
  tokens: string[],
  vocabSize: number,
  reserved: ReadonlySet<string>,
): LearntMerge[] {
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const pairs = new PairCounts(words);
  const merges: LearntMerge[] = [];
  while (tokens.length < vocabSize) {
    const best = pairs.takeBest();
    if (!best) break;
    const [left, right] = best;
    const token = tokens[left]! + tokens[right]!;
    if (reserved.has(token)) continue;
    const result = idOf.get(token) ?? tokens.push(token) - 1;
    idOf.set(token, result);
    merges.push({ left, right, result });
    pairs.merge(left, right, result);
  }
  return merges;
}

/** Words under merging, the count of every pair in them, and a heap of candidates whose counts may be out of date. */
class PairCounts {
  readonly #words: number[][];
  readonly #wordCounts: readonly number[];
  readonly #counts = new Map<number, number>();
  readonly #wordsWith = new Map<number, Set<number>>();
  readonly #taken = new Set<number>();
  readonly #heap = new CandidateHeap();

  constructor(words: readonly { readonly ids: readonly number[]; readonly count: number }[]) {
    this.#words = words.map(word => [...word.ids]);
    this.#wordCounts = words.map(word => word.count);
    const changed = new Set<number>();
    for (let word = 0; word < words.length; word++) this.#countWord(word, 1, changed);
    for (const pair of changed) this.#heap.push(this.#counts.get(pair)!, pair);
  }

  /** The most frequent pair not taken yet; undefined when none occurs twice. */
  takeBest(): readonly [number, number] | undefined {
    for (let top = this.#heap.pop(); top; top = this.#heap.pop()) {
      const count = this.#counts.get(top.pair) ?? 0;
      if (count === top.count && count >= 2 && !this.#taken.has(top.pair)) {
        this.#taken.add(top.pair);
        return [Math.floor(top.pair / PAIR), top.pair % PAIR];
      }
    }
    return undefined;
  }

  /** Replaces `left right` by `result` in all words. */
  merge(left: number, right: number, result: number): void {
    const changed = new Set<number>();
    for (const word of this.#wordsWith.get(left * PAIR + right) ?? []) {
      this.#countWord(word, -1, changed);
      this.#words[word] = joinPair(this.#words[word]!, left, right, result);
      this.#countWord(word, 1, changed);
    }
    for (const pair of changed) this.#heap.push(this.#counts.get(pair)!, pair);
  }

  /** Adds (sign 1) or takes away (−1) the pairs of a word. */
  #countWord(word: number, sign: number, changed: Set<number>): void {
    const ids = this.#words[word]!;
    for (let i = 0; i + 1 < ids.length; i++) {
      const pair = ids[i]! * PAIR + ids[i + 1]!;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * this.#wordCounts[word]!);
      changed.add(pair);
      if (sign > 0) this.#wordsOf(pair).add(word);
    }
  }

  #wordsOf(pair: number): Set<number> {
    const words = this.#wordsWith.get(pair) ?? new Set<number>();
    this.#wordsWith.set(pair, words);
    return words;
  }
}

function joinPair(ids: readonly number[], left: number, right: number, result: number): number[] {
  const joined: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const match = ids[i] === left && ids[i + 1] === right;
    joined.push(match ? result : ids[i]!);
    if (match) i++;
  }
  return joined;
}

interface Candidate {
  readonly count: number;
  readonly pair: number;
}

/** Binary heap: highest count first, then lowest pair. */
class CandidateHeap {
  readonly #items: Candidate[] = [];

  push(count: number, pair: number): void {
    const items = this.#items;
    const item = { count, pair };
    let slot = items.push(item) - 1;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!before(item, items[parent]!)) break;
      items[slot] = items[parent]!;
      slot = parent;
    }
    items[slot] = item;
  }

  pop(): Candidate | undefined {
    const items = this.#items;
    const top = items[0];
    const item = items.pop();
    if (items.length === 0 || !item) return top;
    let slot = 0;
    for (let child = 1; child < items.length; child = 2 * slot + 1) {
      if (child + 1 < items.length && before(items[child + 1]!, items[child]!)) child++;
      if (!before(items[child]!, item)) break;
      items[slot] = items[child]!;
      slot = child;
    }
    items[slot] = item;
    return top;
  }
}

function before(a: Candidate, b: Candidate): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair);
}
