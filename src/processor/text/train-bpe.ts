/**
 * @file Trains a small tokenizer of Llama's kind: words marked by a leading `▁`, characters outside the alphabet as
 * byte tokens. Written as a tokenizer.json that `tokenizers` and `transformers` load.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { learnMerges } from './bpe-trainer.ts';
import { byteToken } from './json-bpe.ts';
import type { TokenRoles } from './text-tokenizer.ts';
import { type Tokenizer, wellFormed } from './tokenizer.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

/** How to train. */
export interface TrainBpeOptions {
  /** Tokens in all; fewer come out when the text has no more pairs that occur twice. */
  readonly vocabSize: number;
  /** Special tokens after `<unk>` `<s>` `</s>`, from id 3; `<pad>` among them becomes the pad token. Default none. */
  readonly specialTokens?: readonly string[];
  /** Characters that get a token of their own, the most frequent first; others are spelt in bytes. Default 256. */
  readonly maxAlphabet?: number;
}

/** A trained tokenizer, and the content of its three files. */
export interface TrainedBpe {
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: object;
  readonly tokenizerConfig: object;
  readonly specialTokensMap: object;
}

const MARK = '▁';
const ROLES = { unk: '<unk>', bos: '<s>', eos: '</s>' };
/** Merges stay within a word, a digit, a run of other signs, each with the space before it. */
const TRAINING_WORDS = /▁?[\p{L}\p{M}]+|▁?\p{N}|▁?[^\p{L}\p{M}\p{N}▁\n]+|▁|\n/gu;

/**
 * Trains on `lines`; the same lines give the same tokenizer. A text is encoded as in Llama's current form: BOS, and a
 * `▁` before the first word only (not after special tokens).
 * @throws LlavaError when `vocabSize` cannot hold the special tokens, the bytes and `▁`.
 */
export function trainBpe(lines: Iterable<string>, options: TrainBpeOptions): TrainedBpe {
  const special = [ROLES.unk, ROLES.bos, ROLES.eos, ...(options.specialTokens ?? [])];
  const reserved = [...special, ...Array.from({ length: 256 }, (_, byte) => byteToken(byte))];
  const room = options.vocabSize - reserved.length;
  if (room < 1) throw new LlavaError(`vocabSize: expected at least ${reserved.length + 1}, got ${options.vocabSize}`);
  if (new Set(reserved).size < reserved.length) throw new LlavaError(`specialTokens: expected no token twice`);
  const words = countWords(lines);
  const tokens = [...reserved, ...chooseAlphabet(words, Math.min(room, options.maxAlphabet ?? 256))];
  const merges = learnMerges(toSymbols(words, tokens), tokens, options.vocabSize, new Set(reserved));
  const pairs = merges.map(({ left, right }): [string, string] => [tokens[left]!, tokens[right]!]);
  return assemble(tokens, pairs, special);
}

/** Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json into `folder`, which is made if need be. */
export async function saveTokenizer(folder: string, trained: TrainedBpe): Promise<void> {
  await mkdir(folder, { recursive: true });
  const save = (name: string, content: object): Promise<void> =>
    writeFile(join(folder, name), `${JSON.stringify(content, undefined, 2)}\n`);
  await save('tokenizer.json', trained.tokenizerJson);
  await save('tokenizer_config.json', trained.tokenizerConfig);
  await save('special_tokens_map.json', trained.specialTokensMap);
}

function countWords(lines: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const text = MARK + wellFormed(line).replaceAll(' ', MARK);
    for (const [word] of text.matchAll(TRAINING_WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** `▁` and the most frequent characters, at most `limit` in all, in code point order after `▁`. */
function chooseAlphabet(words: ReadonlyMap<string, number>, limit: number): string[] {
  const counts = new Map<string, number>();
  for (const [word, count] of words) for (const char of word) counts.set(char, (counts.get(char) ?? 0) + count);
  counts.delete(MARK);
  const byCodePoint = (a: string, b: string): number => a.codePointAt(0)! - b.codePointAt(0)!;
  const frequent = [...counts].sort((a, b) => b[1] - a[1] || byCodePoint(a[0], b[0])).slice(0, limit - 1);
  return [MARK, ...frequent.map(([char]) => char).sort(byCodePoint)];
}

/** Words as symbol ids, cut at characters outside the alphabet. */
function toSymbols(words: ReadonlyMap<string, number>, tokens: readonly string[]) {
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const result: { ids: number[]; count: number }[] = [];
  for (const [word, count] of words) {
    let ids: number[] = [];
    for (const char of word) {
      const id = idOf.get(char);
      if (id !== undefined) ids.push(id);
      else {
        result.push({ ids, count });
        ids = [];
      }
    }
    result.push({ ids, count });
  }
  return result.filter(({ ids }) => ids.length > 1);
}

function assemble(tokens: readonly string[], merges: [string, string][], special: readonly string[]): TrainedBpe {
  const roles: TokenRoles = { ...ROLES, pad: special.includes('<pad>') ? '<pad>' : undefined };
  const tokenizerJson = tokenizerFile(tokens, merges, special);
  const flags = { lstrip: false, normalized: false, rstrip: false, single_word: false };
  const roleNames = Object.fromEntries(Object.entries(roles).map(([role, token]) => [`${role}_token`, token]));
  const tokenizerConfig = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_bos_token: true,
    add_eos_token: false,
    legacy: false,
    clean_up_tokenization_spaces: false,
    ...roleNames,
    added_tokens_decoder: Object.fromEntries(special.map((content, id) => [id, { content, ...flags, special: true }])),
  };
  const extra = special.slice(3).filter(token => token !== roles.pad);
  const specialTokensMap = { ...roleNames, ...(extra.length > 0 ? { additional_special_tokens: extra } : {}) };
  return {
    tokenizer: tokenizerFromJson(tokenizerJson, { roles }),
    tokenizerJson,
    tokenizerConfig: { ...tokenizerConfig, ...(extra.length > 0 ? { additional_special_tokens: extra } : {}) },
    specialTokensMap,
  };
}

/** Field order and content as `tokenizers` 0.20 and later write them. */
function tokenizerFile(tokens: readonly string[], merges: [string, string][], special: readonly string[]): object {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const [sequence, pair] = [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }];
  const bos = (typeId: number): object => ({ SpecialToken: { id: ROLES.bos, type_id: typeId } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: MARK, prepend_scheme: 'first', split: false },
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos(0), sequence],
      pair: [bos(0), sequence, bos(1), pair],
      special_tokens: { [ROLES.bos]: { id: ROLES.bos, ids: [1], tokens: [ROLES.bos] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: MARK }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: ROLES.unk,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
