/**
 * @file BPE segmentation over a SentencePiece vocabulary: scores of pieces instead of a list of merges.
 */

import { mergePairs } from './bpe.ts';
import type { SentencePieceSpec } from './sentencepiece-model.ts';
import type { PrefixMatcher } from './sentencepiece-normalizer.ts';
import { CACHED_LENGTH, CACHED_WORDS, spansWords, splitWords } from './words.ts';

/** Takes a piece and its id. */
export type Emit = (piece: string, id: number) => void;

interface Found {
  readonly piece: string;
  readonly id: number;
}

/** Merges neighbours whose joined text is a piece, best score first. User-defined pieces never merge. */
export class BpeSegmenter {
  readonly #spec: SentencePieceSpec;
  readonly #userDefined: PrefixMatcher;
  /** Pieces that merging may form. */
  readonly #mergeable = new Map<string, number>();
  readonly #ids: ReadonlyMap<string, number>;
  readonly #unknownId: number;
  readonly #longest: number;
  /** No piece spans words, so that each word can be merged by itself. */
  readonly #byWord: boolean;
  readonly #cache = new Map<string, readonly Found[]>();

  constructor(spec: SentencePieceSpec, userDefined: PrefixMatcher) {
    this.#spec = spec;
    this.#userDefined = userDefined;
    this.#ids = new Map(spec.pieces.map(({ piece }, id) => [piece, id]));
    this.#unknownId = spec.pieces.findIndex(piece => piece.type === 'unknown');
    spec.pieces.forEach(({ piece, type }, id) => {
      if (type === 'normal' || type === 'userDefined' || type === 'unused') this.#mergeable.set(piece, id);
    });
    this.#longest = spec.pieces.reduce((longest, { piece }) => Math.max(longest, piece.length), 0);
    this.#byWord = spec.pieces.every(({ piece, type }) => type !== 'unused' && !spansWords(piece));
  }

  /** Calls `emit` with each piece of normalised `text`, in order. */
  segment(text: string, emit: Emit): void {
    if (!this.#byWord) {
      this.#merge(text, emit);
      return;
    }
    for (const word of splitWords(text)) for (const { piece, id } of this.#word(word)) emit(piece, id);
  }

  #word(word: string): readonly Found[] {
    const known = this.#cache.get(word);
    if (known) return known;
    const found: Found[] = [];
    this.#merge(word, (piece, id) => found.push({ piece, id }));
    if (word.length <= CACHED_LENGTH && this.#cache.size < CACHED_WORDS) this.#cache.set(word, found);
    return found;
  }

  #merge(text: string, emit: Emit): void {
    const { starts, frozen } = this.#initialSymbols(text);
    const count = starts.length - 1;
    const { pieces } = this.#spec;
    /** Where the left part of a merge that formed an unused piece ended. */
    const unusedSplits = new Map<string, number>();
    const names = mergePairs(count, {
      cost: (left, right, end) => {
        const [from, to] = [starts[left]!, starts[end]!];
        if (frozen[left] || frozen[right] || to - from > this.#longest) return undefined;
        const piece = text.slice(from, to);
        const id = this.#mergeable.get(piece);
        if (id === undefined) return undefined;
        if (pieces[id]!.type === 'unused') unusedSplits.set(piece, starts[right]! - from);
        return -pieces[id]!.score;
      },
    });
    names.forEach((name, i) => {
      this.#emitPiece(text.slice(starts[name], starts[names[i + 1] ?? count]), unusedSplits, emit);
    });
  }

  /** Start of each initial symbol (a character or a user-defined piece) and the text's end; which never merge. */
  #initialSymbols(text: string): { starts: number[]; frozen: boolean[] } {
    const [starts, frozen]: [number[], boolean[]] = [[], []];
    for (let at = 0; at < text.length; ) {
      const match = this.#userDefined(text, at);
      starts.push(at);
      frozen.push(match !== '');
      at += match.length || (text.codePointAt(at)! > 0xffff ? 2 : 1);
    }
    starts.push(text.length);
    return { starts, frozen };
  }

  /** Emits a piece; an unused one as the pieces it was merged from. */
  #emitPiece(piece: string, unusedSplits: ReadonlyMap<string, number>, emit: Emit): void {
    const id = this.#ids.get(piece) ?? this.#unknownId;
    const split = this.#spec.pieces[id]!.type === 'unused' ? unusedSplits.get(piece) : undefined;
    if (split === undefined) {
      emit(piece, id);
      return;
    }
    this.#emitPiece(piece.slice(0, split), unusedSplits, emit);
    this.#emitPiece(piece.slice(split), unusedSplits, emit);
  }
}
