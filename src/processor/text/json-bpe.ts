/**
 * @file The BPE model of tokenizer.json: ranked merges over a vocabulary, with the unknown token or byte tokens for
 * characters outside it.
 */

import { LlavaError } from '../../core/index.ts';
import { mergePairs } from './bpe.ts';
import { asCount, type JsonFields } from './json-fields.ts';
import { CACHED_LENGTH, CACHED_WORDS, spansWords, splitWords } from './words.ts';

/** Encodes one word at a time. */
export class BpeModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly unkToken: string | undefined;
  readonly #merges: MergeTable;
  readonly #byteFallback: boolean;
  readonly #fuseUnk: boolean;
  readonly #ignoreMerges: boolean;
  readonly #prefix: string;
  readonly #suffix: string;
  /** No token spans words and `▁` is a token, so that each word can be merged by itself. */
  readonly #byWord: boolean;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(fields: JsonFields) {
    const type = fields.string('type', 'BPE');
    if (type !== 'BPE') throw new LlavaError(`${fields.where}.type: expected BPE, got ${type}`);
    if (fields.has('dropout') && fields.raw('dropout') !== 0) {
      throw new LlavaError(`${fields.where}.dropout: expected none, got ${fields.raw('dropout')}`);
    }
    this.vocab = readVocab(fields.object('vocab'));
    this.unkToken = fields.optionalString('unk_token');
    this.#byteFallback = fields.boolean('byte_fallback', false);
    this.#fuseUnk = fields.boolean('fuse_unk', false);
    this.#ignoreMerges = fields.boolean('ignore_merges', false);
    this.#prefix = fields.string('continuing_subword_prefix', '');
    this.#suffix = fields.string('end_of_word_suffix', '');
    this.#merges = readMerges(fields, this.vocab, this.#prefix.length);
    const whole = this.#prefix === '' && this.#suffix === '' && this.vocab.has('▁');
    this.#byWord = whole && ![...this.vocab.keys()].some(spansWords);
    if (this.unkToken !== undefined && !this.vocab.has(this.unkToken)) {
      throw new LlavaError(`${fields.where}.unk_token: expected a token of the vocabulary, got ${this.unkToken}`);
    }
  }

  /** Ids of a stretch that the pre-tokenizer left whole. */
  encodeWord(word: string): readonly number[] {
    const whole = this.#ignoreMerges ? this.vocab.get(word) : undefined;
    if (whole !== undefined) return [whole];
    if (!this.#byWord) return this.#encode(word);
    const words = splitWords(word);
    return words.length === 1 ? this.#encode(word) : words.flatMap(part => this.#encode(part));
  }

  #encode(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known) return known;
    const ids = this.#merge(this.#initialIds(word));
    if (word.length <= CACHED_LENGTH && this.#cache.size < CACHED_WORDS) this.#cache.set(word, ids);
    return ids;
  }

  #merge(ids: Int32Array): readonly number[] {
    const merges = this.#merges;
    const names = mergePairs(ids.length, {
      cost: (left, right) => merges.rank(ids[left]!, ids[right]!),
      merge: (left, right) => {
        ids[left] = merges.result(ids[left]!, ids[right]!);
      },
    });
    return names.map(name => ids[name]!);
  }

  #initialIds(word: string): Int32Array {
    const chars = Array.from(word);
    const ids: number[] = [];
    let pendingUnk = 0; // unknown tokens not yet written: 0 or 1
    const unk = this.unkToken === undefined ? undefined : this.vocab.get(this.unkToken);
    const flush = (): void => {
      if (pendingUnk > 0) ids.push(unk!);
      pendingUnk = 0;
    };
    chars.forEach((char, i) => {
      const symbol = (i > 0 ? this.#prefix : '') + char + (i === chars.length - 1 ? this.#suffix : '');
      const id = this.vocab.get(symbol);
      const bytes = id === undefined && this.#byteFallback ? this.#byteIds(symbol) : undefined;
      if (bytes) {
        ids.push(...bytes);
      } else if (id !== undefined) {
        flush();
        ids.push(id);
      } else if (unk !== undefined) {
        if (!this.#fuseUnk) flush();
        pendingUnk = 1;
      }
    });
    flush();
    return Int32Array.from(ids);
  }

  /** The byte tokens of a symbol; undefined when the vocabulary lacks one of them. */
  #byteIds(symbol: string): number[] | undefined {
    const ids = Array.from(Buffer.from(symbol), byte => this.vocab.get(byteToken(byte)));
    return ids.includes(undefined) ? undefined : (ids as number[]);
  }
}

/** The token that stands for a byte, as `<0x0A>`. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** The byte that a token stands for, if it is a byte token. */
export function tokenByte(token: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined;
}

function readVocab(fields: JsonFields): Map<string, number> {
  const vocab = new Map<string, number>();
  for (const token of fields.keys())
    vocab.set(token, asCount(`${fields.where}[${JSON.stringify(token)}]`, fields.raw(token)));
  return vocab;
}

/** Merges as they are in the file: `"a b"`, or `["a", "b"]` where tokens may hold spaces. */
function readMerges(fields: JsonFields, vocab: ReadonlyMap<string, number>, prefixLength: number): MergeTable {
  const merges = fields.list('merges');
  const table = new MergeTable(merges.length);
  merges.forEach((merge, rank) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    const where = `${fields.where}.merges[${rank}]`;
    const [left, right]: unknown[] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof left !== 'string' || typeof right !== 'string') {
      throw new LlavaError(`${where}: expected two tokens, got ${JSON.stringify(merge)?.slice(0, 60)}`);
    }
    const ids = [left, right, left + right.slice(prefixLength)].map(token => vocab.get(token));
    if (ids.includes(undefined)) {
      throw new LlavaError(`${where}: expected tokens of the vocabulary, got ${JSON.stringify(merge).slice(0, 60)}`);
    }
    table.set(ids[0]!, ids[1]!, rank, ids[2]!);
  });
  return table;
}

/** (left id, right id) → (rank, merged id): open addressing in flat arrays, as pairs make poor keys of a Map. */
class MergeTable {
  readonly #mask: number;
  readonly #slots: Int32Array; // left, right, rank, result; left −1 when free

  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#mask = size - 1;
    this.#slots = new Int32Array(4 * size).fill(-1);
  }

  set(left: number, right: number, rank: number, result: number): void {
    this.#slots.set([left, right, rank, result], 4 * this.#find(left, right));
  }

  rank(left: number, right: number): number | undefined {
    const slot = 4 * this.#find(left, right);
    return this.#slots[slot] === -1 ? undefined : this.#slots[slot + 2];
  }

  result(left: number, right: number): number {
    return this.#slots[4 * this.#find(left, right) + 3]!;
  }

  #find(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.#mask;
    for (;;) {
      const at = 4 * slot;
      if (this.#slots[at] === -1 || (this.#slots[at] === left && this.#slots[at + 1] === right)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}
