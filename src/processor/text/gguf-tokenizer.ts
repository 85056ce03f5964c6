/**
 * @file Tokenizers out of the vocabulary that GGUF files carry: `llama` is SentencePiece's BPE (pieces, scores, types),
 * `gpt2` byte-level BPE (tokens, merges, the name of a pre-tokenizer).
 */

import { LlavaError } from '../../core/index.ts';
import { PRE_TOKENIZER_KINDS } from './gguf-pretokenizers.ts';
import { checkPieces, type PieceType, type SentencePieceSpec } from './sentencepiece-model.ts';
import type { TokenRoles } from './text-tokenizer.ts';
import type { AddedToken, Tokenizer } from './tokenizer.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';
import { assembleTokenizer } from './tokenizer-model.ts';

/** A vocabulary, as in the metadata `tokenizer.ggml.*`. */
export interface GgufVocabulary {
  /** Names the file in errors. */
  readonly where: string;
  /** `llama` or `gpt2`. */
  readonly model: string;
  /** Pre-tokenizer of a `gpt2` vocabulary. */
  readonly pre: string | undefined;
  readonly tokens: readonly string[];
  /** Of a `llama` vocabulary. */
  readonly scores: ArrayLike<number> | undefined;
  /** {@link TOKEN_TYPES} by number; absent: all are normal. */
  readonly types: ArrayLike<number> | undefined;
  /** Of a `gpt2` vocabulary: `left right`, in the order of their ranks. */
  readonly merges: readonly string[] | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unkId: number | undefined;
  readonly padId: number | undefined;
  readonly addBos: boolean | undefined;
  readonly addEos: boolean | undefined;
  readonly addSpacePrefix: boolean | undefined;
  readonly removeExtraWhitespaces: boolean | undefined;
  /** Text after a special token begins with a space too, as in llama.cpp; false: only the whole text does. */
  readonly prefixAfterSpecial: boolean | undefined;
}

/** Types of tokens by their numbers in files; 0 is unused. */
export const TOKEN_TYPES: readonly PieceType[] = [
  'normal',
  'normal',
  'unknown',
  'control',
  'userDefined',
  'unused',
  'byte',
];

/** What stands for a row of the embedding that has no token; llama.cpp wants a token for each. */
export function padding(id: number): string {
  return `[PAD${id}]`;
}

/**
 * Builds a tokenizer.
 * @throws LlavaError for another kind of vocabulary, and for lists that do not go together
 */
export function tokenizerFromGguf(padded: GgufVocabulary): Tokenizer {
  checkLists(padded);
  const vocabulary = withoutPadding(padded);
  const { where, model, tokens } = vocabulary;
  const roles = Object.fromEntries(
    Object.entries({ bos: vocabulary.bosId, eos: vocabulary.eosId, unk: vocabulary.unkId, pad: vocabulary.padId }).map(
      ([role, id]) => [role, id === undefined ? undefined : tokens[id]],
    ),
  ) as TokenRoles;
  if (model === 'llama') return fromPieces(vocabulary, roles);
  if (model === 'gpt2') return fromMerges(vocabulary, roles);
  throw new LlavaError(`${where}: expected tokenizer.ggml.model llama or gpt2, got ${model}`);
}

function checkLists({ where, tokens, types, scores }: GgufVocabulary): void {
  for (const [key, list] of Object.entries({ token_type: types, scores })) {
    if (list === undefined || list.length === tokens.length) continue;
    throw new LlavaError(`${where}: expected ${tokens.length} values in tokenizer.ggml.${key}, got ${list.length}`);
  }
}

/** Without the tokens at the end that only fill up the rows. */
function withoutPadding(vocabulary: GgufVocabulary): GgufVocabulary {
  const { tokens } = vocabulary;
  let length = tokens.length;
  while (length > 0 && tokens[length - 1] === padding(length - 1)) length--;
  return { ...vocabulary, tokens: tokens.slice(0, length) };
}

const typeOf = ({ types }: GgufVocabulary, id: number): PieceType => TOKEN_TYPES[types?.[id] ?? 1] ?? 'normal';

/** Control tokens and those that a user added are cut out of a text before all else. */
function addedTokens(vocabulary: GgufVocabulary): AddedToken[] {
  const flags = { lstrip: false, rstrip: false, singleWord: false, normalized: false };
  return vocabulary.tokens.flatMap((content, id) => {
    const type = typeOf(vocabulary, id);
    const isAdded = type === 'control' || type === 'userDefined' || type === 'unknown';
    return isAdded && content !== '' ? [{ id, content, special: type !== 'userDefined', ...flags }] : [];
  });
}

function fromPieces(vocabulary: GgufVocabulary, roles: TokenRoles): Tokenizer {
  const { where, tokens, scores, addBos = true, addEos = false, prefixAfterSpecial: legacy = true } = vocabulary;
  if (!scores) throw new LlavaError(`${where}: expected tokenizer.ggml.scores for a llama vocabulary, got nothing`);
  const pieces = tokens.map((piece, id) => ({ piece, score: scores[id]!, type: typeOf(vocabulary, id) }));
  const byteFallback = pieces.some(({ type }) => type === 'byte');
  checkPieces(pieces, byteFallback, where);
  const spec: SentencePieceSpec = {
    pieces,
    modelType: 'bpe',
    byteFallback,
    whitespaceAsSuffix: false,
    unkSurface: ' \u2047 ',
    charsmap: new Uint8Array(),
    addDummyPrefix: vocabulary.addSpacePrefix ?? true,
    removeExtraWhitespaces: vocabulary.removeExtraWhitespaces ?? false,
    escapeWhitespaces: true,
  };
  return assembleTokenizer(spec, { where, roles, addedTokens: addedTokens(vocabulary), addBos, addEos, legacy });
}

function fromMerges(vocabulary: GgufVocabulary, roles: TokenRoles): Tokenizer {
  const { where, pre = '', tokens, merges, addBos = false, addEos = false } = vocabulary;
  const kind = PRE_TOKENIZER_KINDS.get(pre);
  if (!kind) {
    const known = [...PRE_TOKENIZER_KINDS.keys()].join(', ');
    throw new LlavaError(`${where}: expected tokenizer.ggml.pre ${known}, got ${JSON.stringify(pre)}`);
  }
  const json = {
    added_tokens: [],
    normalizer: kind.normalizer,
    pre_tokenizer: kind.pre_tokenizer,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      ignore_merges: kind.ignoreMerges,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges ?? [],
    },
  };
  const frame = { bos: addBos, eos: addEos };
  return tokenizerFromJson(json, { where, roles, addedTokens: addedTokens(vocabulary), frame });
}
