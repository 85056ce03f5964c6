/**
 * @file Tokenizers over a SentencePiece model: special tokens are cut out of the text first, as the slow
 * `LlamaTokenizer` of `transformers` does. llama2.c's `tokenizer.bin` is one too.
 */

import { LlavaError } from '../../core/index.ts';
import { addedTokenSplitter } from './added-tokens.ts';
import { byteToken, tokenByte } from './json-bpe.ts';
import { SentencePieceModel } from './sentencepiece.ts';
import { type PieceType, readSentencePieceModel, type SentencePieceSpec } from './sentencepiece-model.ts';
import { SPACE_MARK } from './sentencepiece-normalizer.ts';
import { type Place, TextTokenizer, type TokenModel, type TokenRoles } from './text-tokenizer.ts';
import type { AddedToken, DecodeStream, Tokenizer } from './tokenizer.ts';

/** What the files beside tokenizer.model add to it. */
export interface TokenizerModelOptions {
  /** Name of the file in messages. Default `tokenizer.model`. */
  readonly where?: string;
  /** Default `<s>`, `</s>`, `<unk>`, no pad. */
  readonly roles?: TokenRoles;
  /** Added tokens; those that name a role are added besides. */
  readonly addedTokens?: readonly AddedToken[];
  /** BOS before each text. Default true. */
  readonly addBos?: boolean;
  /** EOS after each text. Default false. */
  readonly addEos?: boolean;
  /** Text after a special token begins with a space mark too (`transformers` before 4.31). Default true. */
  readonly legacy?: boolean;
}

/**
 * Builds a tokenizer from the bytes of a SentencePiece `.model` file.
 * @throws LlavaError when they are not a SentencePiece model of type BPE or unigram.
 */
export function tokenizerFromModel(bytes: Uint8Array, options: TokenizerModelOptions = {}): Tokenizer {
  return assembleTokenizer(readSentencePieceModel(bytes, options.where), options);
}

/** A token of llama2.c's `tokenizer.bin`: spaces as they are, bytes as `<0x0A>`. */
export interface Llama2cPiece {
  readonly piece: string;
  readonly score: number;
}

/**
 * The tokenizer of a llama2.c model, by id: 0 unknown, 1 BOS, 2 EOS, 3–258 the bytes, then the pieces.
 * @throws LlavaError for a list without the bytes.
 */
export function llama2cTokenizer(pieces: readonly Llama2cPiece[]): Tokenizer {
  const broken = Array.from({ length: 256 }, (_, byte) => byte).find(
    byte => tokenByte(pieces[byte + 3]?.piece ?? '') !== byte,
  );
  if (broken !== undefined) {
    throw new LlavaError(
      `tokenizer.bin: expected ${byteToken(broken)} as token ${broken + 3}, got ${pieces[broken + 3]?.piece}`,
    );
  }
  const special: readonly [string, PieceType][] = [
    ['<unk>', 'unknown'],
    ['<s>', 'control'],
    ['</s>', 'control'],
  ];
  const spec: SentencePieceSpec = {
    pieces: pieces.map(({ piece, score }, id) => {
      const [name, type] = special[id] ?? [piece.replaceAll(' ', SPACE_MARK), id < 259 ? 'byte' : 'normal'];
      return { piece: name, score, type: type as PieceType };
    }),
    modelType: 'bpe',
    byteFallback: true,
    whitespaceAsSuffix: false,
    unkSurface: '<unk>',
    charsmap: new Uint8Array(),
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
  };
  return assembleTokenizer(spec, {});
}

/**
 * Reads llama2.c's `tokenizer.bin`: the longest length (int32), then score (float32), length (int32) and bytes of each
 * token.
 * @throws LlavaError when a token goes past the end.
 */
export function readLlama2cPieces(bytes: Uint8Array, where = 'tokenizer.bin'): Llama2cPiece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Llama2cPiece[] = [];
  for (let at = 4; at < bytes.length; ) {
    const length = at + 8 <= bytes.length ? view.getInt32(at + 4, true) : -1;
    const end = at + 8 + length;
    if (length < 0 || end > bytes.length)
      throw new LlavaError(`${where}: expected token ${pieces.length}, got a truncated file`);
    pieces.push({ piece: Buffer.from(bytes.subarray(at + 8, end)).toString(), score: view.getFloat32(at, true) });
    at = end;
  }
  return pieces;
}

export function assembleTokenizer(spec: SentencePieceSpec, options: TokenizerModelOptions): Tokenizer {
  const roles: TokenRoles = { unk: '<unk>', bos: '<s>', eos: '</s>', ...options.roles };
  const idOf = new Map(spec.pieces.map(({ piece }, id) => [piece, id]));
  const addedTokens = withRoles(options.addedTokens ?? [], roles, idOf);
  const model = new LlamaModel(new SentencePieceModel(spec), addedTokens, options.legacy ?? true);
  const frameOf = (role: string | undefined, wanted: boolean): number[] => {
    const id = addedTokens.find(token => token.content === role)?.id;
    return wanted && id !== undefined ? [id] : [];
  };
  const control = spec.pieces.flatMap(({ type }, id) => (type === 'control' ? [id] : []));
  return new TextTokenizer({
    model,
    addedTokens,
    split: addedTokenSplitter(addedTokens),
    specialIds: new Set([...control, ...addedTokens.filter(token => token.special).map(token => token.id)]),
    frame: { prefix: frameOf(roles.bos, options.addBos ?? true), suffix: frameOf(roles.eos, options.addEos ?? false) },
    roles,
  });
}

/** Adds the tokens of roles, which are in the vocabulary, to the added tokens. */
export function withRoles(
  addedTokens: readonly AddedToken[],
  roles: TokenRoles,
  idOf: ReadonlyMap<string, number>,
): AddedToken[] {
  const flags = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false };
  const known = new Set(addedTokens.map(token => token.content));
  const missing = [...new Set(Object.values(roles))].filter(token => token !== undefined && !known.has(token));
  const found = missing.flatMap(content => {
    const id = idOf.get(content!);
    return id === undefined ? [] : [{ id, content: content!, ...flags }];
  });
  return [...found, ...addedTokens];
}

/** A SentencePiece model in which added tokens stand for themselves. */
class LlamaModel implements TokenModel {
  readonly tokens: readonly (string | undefined)[];
  readonly #model: SentencePieceModel;
  readonly #added: ReadonlyMap<number, string>;
  readonly #legacy: boolean;

  constructor(model: SentencePieceModel, addedTokens: readonly AddedToken[], legacy: boolean) {
    this.#model = model;
    this.#legacy = legacy;
    this.#added = new Map(addedTokens.map(token => [token.id, token.content]));
    const { pieces } = model.spec;
    const size = addedTokens.reduce((highest, { id }) => Math.max(highest, id + 1), pieces.length);
    const tokens = Array.from({ length: size }, (_, id) => pieces[id]?.piece);
    for (const [id, content] of this.#added) tokens[id] = content;
    this.tokens = tokens;
  }

  encodeText(text: string, { first, continues }: Place): number[] {
    if (continues) return this.#model.encode(text, false);
    if (this.#legacy) return this.#model.encode(text);
    const prefix = first && this.#model.spec.addDummyPrefix ? SPACE_MARK : '';
    return this.#model.encode(prefix + text, false);
  }

  stream(): DecodeStream {
    const stream = this.#model.stream();
    return {
      push: id => {
        const content = this.#added.get(id);
        return content === undefined ? stream.push(id) : stream.pushText(content);
      },
      end: () => stream.end(),
    };
  }
}
