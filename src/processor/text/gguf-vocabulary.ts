/**
 * @file A folder's tokenizer as the vocabulary that a GGUF file carries. A SentencePiece model goes over as it is, byte-level
 * BPE with its merges. Of a tokenizer.json with byte fallback the scores are the ranks of its merges: exact where it was made
 * from a SentencePiece model, whose merges list every way to a piece. One that was trained as merges (this library's own) may
 * lack some of them, and SentencePiece then merges now and then what it does not: 28 of 3,351 texts of the demo model.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';
import { PRE_TOKENIZER_KINDS } from './gguf-pretokenizers.ts';
import { type GgufVocabulary, padding, TOKEN_TYPES } from './gguf-tokenizer.ts';
import { tokenByte } from './json-bpe.ts';
import { loadTokenizer } from './load-tokenizer.ts';
import { type PieceType, readSentencePieceModel } from './sentencepiece-model.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What differs between the kinds of vocabulary. */
type Kind = Pick<GgufVocabulary, 'model' | 'pre' | 'merges' | 'addSpacePrefix' | 'removeExtraWhitespaces'> & {
  /** Scores and types of the tokens that are not added ones. */
  readonly score: ((id: number) => number) | undefined;
  readonly type: (id: number) => PieceType;
};

/**
 * The vocabulary of a folder's tokenizer, filled up to the rows of the embedding.
 * @throws LlavaError for a tokenizer that llama.cpp has no kind for
 */
export function folderVocabulary(folder: string, rows: number): GgufVocabulary {
  const [model, json] = ['tokenizer.model', 'tokenizer.json'].map(name => join(folder, name)) as [string, string];
  const where = existsSync(model) ? model : json;
  if (!existsSync(where)) throw new LlavaError(`${folder}: expected tokenizer.model or tokenizer.json, got neither`);
  // Added tokens may stand in tokenizer.json only, scores stand in tokenizer.model only.
  const tokenizer = loadTokenizer(folder);
  const { score, type, ...kind } = where === model ? pieceKind(model) : jsonKind(json, tokenizer);
  const added = new Map(tokenizer.addedTokens.map(token => [token.id, token]));
  const types = Int32Array.from({ length: rows }, (_, id) => {
    const special = added.get(id)?.special;
    const known = id === tokenizer.unkId ? 'unknown' : special === undefined ? type(id) : undefined;
    return TOKEN_TYPES.lastIndexOf(known ?? (special ? 'control' : 'userDefined'));
  });
  const [first] = tokenizer.encode('a');
  const last = tokenizer.encode('a').at(-1);
  return {
    where,
    ...kind,
    tokens: Array.from({ length: rows }, (_, id) => tokenizer.idToToken(id) ?? padding(id)),
    scores: score && Float32Array.from({ length: rows }, (_, id) => score(id)),
    types,
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    unkId: tokenizer.unkId,
    padId: tokenizer.padId,
    addBos: first !== undefined && first === tokenizer.bosId,
    addEos: last !== undefined && last === tokenizer.eosId,
    prefixAfterSpecial: prefixAfterSpecial(tokenizer),
  };
}

/** Whether a text after a special token is encoded as one that stands alone. */
function prefixAfterSpecial(tokenizer: Tokenizer): boolean {
  const special = tokenizer.addedTokens.find(token => token.special && !token.rstrip);
  if (!special) return true;
  const [, ...after] = tokenizer.encode(`${special.content}a`, { addBos: false });
  return String(after) === String(tokenizer.encode('a', { addBos: false }));
}

function pieceKind(where: string): Kind {
  const spec = readSentencePieceModel(readFileSync(where), where);
  const isPlain = spec.modelType === 'bpe' && spec.charsmap.length === 0 && !spec.whitespaceAsSuffix;
  if (!isPlain) {
    throw new LlavaError(`${where}: expected SentencePiece BPE without character rules, got ${spec.modelType}`);
  }
  const { pieces } = spec;
  return {
    model: 'llama',
    pre: 'default',
    merges: undefined,
    addSpacePrefix: spec.addDummyPrefix,
    removeExtraWhitespaces: spec.removeExtraWhitespaces,
    score: id => pieces[id]?.score ?? 0,
    type: id => pieces[id]?.type ?? 'unused',
  };
}

/** The fields of a tokenizer.json that tell its kind; it has been loaded, so that they are known to be sound. */
interface TokenizerJson {
  readonly normalizer: Stage | null;
  readonly pre_tokenizer: Stage | null;
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
  };
}

interface Stage {
  readonly type: string;
  readonly [key: string]: unknown;
}

function jsonKind(where: string, tokenizer: Tokenizer): Kind {
  const json = JSON.parse(readFileSync(where, 'utf8')) as TokenizerJson;
  const type = (id: number): PieceType => (tokenizer.idToToken(id) === undefined ? 'unused' : 'normal');
  const pre = [...PRE_TOKENIZER_KINDS].find(([, kind]) => fingerprint(kind) === fingerprint(json))?.[0];
  if (pre !== undefined) {
    const merges = json.model.merges.map(merge => (typeof merge === 'string' ? merge : merge.join(' ')));
    return {
      model: 'gpt2',
      pre,
      merges,
      addSpacePrefix: false,
      removeExtraWhitespaces: undefined,
      score: undefined,
      type,
    };
  }
  if (json.model.byte_fallback && stagesOf(json.pre_tokenizer).every(stage => stage.type === 'Metaspace')) {
    return mergedPieces(json, tokenizer, type);
  }
  throw new LlavaError(
    `${where}: expected byte-level BPE of kind ${[...PRE_TOKENIZER_KINDS.keys()].join(', ')}, or byte fallback, got another pre-tokenizer`,
  );
}

const stagesOf = (stage: Stage | null): readonly Stage[] =>
  stage?.type === 'Sequence' ? ((stage.pretokenizers ?? stage.normalizers) as readonly Stage[]) : stage ? [stage] : [];

/** What decides how a text is cut into words. */
function fingerprint({
  normalizer,
  pre_tokenizer,
}: {
  normalizer: object | null;
  pre_tokenizer: object | null;
}): string {
  const [normalizers, splitters] = [normalizer, pre_tokenizer].map(stage => stagesOf(stage as Stage | null));
  const essence = splitters!.map(({ type, pattern, individual_digits, add_prefix_space, use_regex }) => ({
    type,
    pattern,
    individual_digits,
    ...(type === 'ByteLevel' && { add_prefix_space: add_prefix_space ?? true, use_regex: use_regex ?? true }),
  }));
  return JSON.stringify([normalizers!.map(({ type }) => type), essence]);
}

/** SentencePiece takes the best score first, merges the lowest rank: a piece has the rank of the first merge that makes it. */
function mergedPieces(
  { normalizer, pre_tokenizer, model }: TokenizerJson,
  tokenizer: Tokenizer,
  plain: Kind['type'],
): Kind {
  const rank = new Map<string, number>();
  model.merges.forEach((merge, i) => {
    const piece = typeof merge === 'string' ? merge.replace(' ', '') : merge.join('');
    if (!rank.has(piece)) rank.set(piece, i + 1);
  });
  const prefixed =
    stagesOf(normalizer).some(({ type }) => type === 'Prepend') ||
    stagesOf(pre_tokenizer).some(stage => stage.prepend_scheme !== 'never');
  return {
    model: 'llama',
    pre: 'default',
    merges: undefined,
    addSpacePrefix: prefixed,
    removeExtraWhitespaces: undefined,
    score: id => -(rank.get(tokenizer.idToToken(id) ?? '') ?? 0),
    type: id => (tokenByte(tokenizer.idToToken(id) ?? '') === undefined ? plain(id) : 'byte'),
  };
}
