/**
 * @file Unigram segmentation (Kudo 2018): the sequence of pieces with the highest sum of scores, by Viterbi over a trie
 * of pieces. Sums are kept in 32-bit floats, as sentencepiece keeps them, so that near ties fall the same way.
 */

import { Buffer } from 'node:buffer';
import type { SentencePiece } from './sentencepiece-model.ts';

/** How much worse than the worst piece an unknown character scores. */
const UNKNOWN_PENALTY = 10;
/** What a user-defined piece gains per byte of UTF-8 beyond the first, so that it is always taken. */
const USER_DEFINED_BONUS = 0.1;

export class UnigramSegmenter {
  readonly #trie = new Trie();
  readonly #scores: Float64Array;
  readonly #unknownId: number;
  readonly #unknownScore: number;

  constructor(pieces: readonly SentencePiece[]) {
    const normal = pieces.filter(piece => piece.type === 'normal').map(piece => piece.score);
    const lowest = normal.reduce((low, score) => Math.min(low, score), 3.4028234663852886e38);
    this.#unknownScore = Math.fround(lowest - UNKNOWN_PENALTY);
    this.#unknownId = pieces.findIndex(piece => piece.type === 'unknown');
    this.#scores = Float64Array.from(pieces, ({ piece, score, type }) =>
      type === 'userDefined' ? Math.fround(USER_DEFINED_BONUS * (Buffer.byteLength(piece) - 1)) : score,
    );
    pieces.forEach(({ piece, type }, id) => {
      if (type === 'normal' || type === 'userDefined') this.#trie.add(piece, id);
    });
  }

  /** Calls `emit` with each piece of the best segmentation of `text`, in order. */
  segment(text: string, emit: (piece: string, id: number) => void): void {
    const { starts, ids } = this.#viterbi(text);
    const ends: number[] = [];
    for (let end = text.length; end > 0; end = starts[end]!) ends.push(end);
    for (const end of ends.reverse()) emit(text.slice(starts[end], end), ids[end]!);
  }

  /** For each position, where the best piece that ends there starts, and its id. */
  #viterbi(text: string): { starts: Int32Array; ids: Int32Array } {
    const best = new Float32Array(text.length + 1);
    const starts = new Int32Array(text.length + 1).fill(-1);
    const ids = new Int32Array(text.length + 1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      if (starts[end] !== -1 && score <= best[end]!) return;
      [best[end], starts[end], ids[end]] = [score, start, id];
    };
    for (let start = 0; start < text.length; ) {
      const next = start + (text.codePointAt(start)! > 0xffff ? 2 : 1);
      let single = false;
      let node = 0;
      for (let end = start + 1; end <= text.length; end++) {
        node = this.#trie.child(node, text.charCodeAt(end - 1));
        if (node < 0) break;
        const id = this.#trie.id(node);
        if (id < 0) continue;
        offer(start, end, id, Math.fround(best[start]! + this.#scores[id]!));
        single ||= end === next;
      }
      if (!single) offer(start, next, this.#unknownId, Math.fround(best[start]! + this.#unknownScore));
      start = next;
    }
    return { starts, ids };
  }
}

/** Strings by UTF-16 unit; nodes are numbers, 0 the root. */
class Trie {
  readonly #children = new Map<number, number>();
  readonly #ids: number[] = [-1];

  add(string: string, id: number): void {
    let node = 0;
    for (let i = 0; i < string.length; i++) {
      const key = node * 0x10000 + string.charCodeAt(i);
      const child = this.#children.get(key) ?? this.#ids.push(-1) - 1;
      this.#children.set(key, child);
      node = child;
    }
    this.#ids[node] = id;
  }

  /** The node after `unit`, or −1. */
  child(node: number, unit: number): number {
    return this.#children.get(node * 0x10000 + unit) ?? -1;
  }

  /** The id of the string that ends at a node, or −1. */
  id(node: number): number {
    return this.#ids[node]!;
  }
}
