/**
 * @file Tokenizers in the `tokenizer.json` format of Hugging Face `tokenizers`, with a BPE model: Llama, Mistral, Yi
 * (byte fallback), GPT-2, Llama-3, Qwen (byte level), CLIP (end-of-word suffix).
 */

import { addedTokenSplitter, type Splitter } from './added-tokens.ts';
import { BpeModel } from './json-bpe.ts';
import { type DecodeStage, endStages, readDecoder, runStages } from './json-decoders.ts';
import { JsonFields } from './json-fields.ts';
import { type Normalizer, readNormalizer } from './json-normalizers.ts';
import { type PreTokenizer, readPreTokenizer } from './json-pretokenizers.ts';
import { type Frame, NO_FRAME, type Place, TextTokenizer, type TokenModel, type TokenRoles } from './text-tokenizer.ts';
import { readFrame } from './token-frame.ts';
import type { AddedToken, DecodeStream, Tokenizer } from './tokenizer.ts';

/** What the files beside tokenizer.json add to it. */
export interface TokenizerJsonOptions {
  /** Name of the file in messages. Default `tokenizer.json`. */
  readonly where?: string;
  readonly roles?: TokenRoles;
  /** Added tokens that tokenizer.json may lack. */
  readonly addedTokens?: readonly AddedToken[];
  /** Replaces the file's own BOS and EOS rule: roles to put before and after each text. */
  readonly frame?: { readonly bos: boolean; readonly eos: boolean };
}

/**
 * Builds a tokenizer from the parsed content of a tokenizer.json.
 * @throws LlavaError naming the field, when the content is broken or a part of it is of an unsupported kind.
 */
export function tokenizerFromJson(json: unknown, options: TokenizerJsonOptions = {}): Tokenizer {
  const fields = new JsonFields(options.where ?? 'tokenizer.json', json);
  const addedTokens = mergeAdded(
    fields.objects('added_tokens').map(token => readAddedToken(token)),
    options.addedTokens ?? [],
  );
  const model = new JsonModel(fields, addedTokens);
  const frame = fields.has('post_processor') ? readFrame(fields.object('post_processor')) : NO_FRAME;
  return new TextTokenizer({
    model,
    addedTokens,
    split: addedTokenSplitter(addedTokens.filter(token => !token.normalized)),
    specialIds: new Set(addedTokens.filter(token => token.special).map(token => token.id)),
    frame: options.frame ? frameOfRoles(model, options.roles ?? {}, options.frame) : frame,
    roles: { unk: model.unkToken, bos: model.tokens[frame.prefix[0] ?? -1], ...definedRoles(options.roles ?? {}) },
  });
}

/** An added token as these files describe it; `id` when the description does not hold it. */
export function readAddedToken(fields: JsonFields, id?: number): AddedToken {
  const special = fields.boolean('special', false);
  return {
    id: id ?? fields.count('id'),
    content: fields.string('content'),
    special,
    lstrip: fields.boolean('lstrip', false),
    rstrip: fields.boolean('rstrip', false),
    singleWord: fields.boolean('single_word', false),
    normalized: fields.boolean('normalized', !special),
  };
}

/** `first`, and those of `second` whose id and content are new. */
export function mergeAdded(first: readonly AddedToken[], second: readonly AddedToken[]): AddedToken[] {
  const known = new Set<number | string>(first.flatMap(token => [token.id, token.content]));
  return [...first, ...second.filter(token => !known.has(token.id) && !known.has(token.content))];
}

function definedRoles(roles: TokenRoles): TokenRoles {
  return Object.fromEntries(Object.entries(roles).filter(([, token]) => token !== undefined));
}

function frameOfRoles(model: TokenModel, roles: TokenRoles, wanted: { bos: boolean; eos: boolean }): Frame {
  const idOf = (token: string | undefined): number[] => {
    const id = token === undefined ? -1 : model.tokens.indexOf(token);
    return id < 0 ? [] : [id];
  };
  return { prefix: wanted.bos ? idOf(roles.bos) : [], suffix: wanted.eos ? idOf(roles.eos) : [] };
}

/** normalise → cut out tokens added in normalised form → pre-tokenise → BPE. */
class JsonModel implements TokenModel {
  readonly tokens: readonly (string | undefined)[];
  readonly unkToken: string | undefined;
  readonly #bpe: BpeModel;
  readonly #normalize: Normalizer;
  readonly #preTokenize: PreTokenizer;
  readonly #splitNormalized: Splitter;
  readonly #decoder: () => DecodeStage[];

  constructor(fields: JsonFields, addedTokens: readonly AddedToken[]) {
    this.#bpe = new BpeModel(fields.object('model'));
    this.unkToken = this.#bpe.unkToken;
    this.tokens = tokensById(this.#bpe.vocab, addedTokens);
    const [normalizer, preTokenizer] = [fields.optionalObject('normalizer'), fields.optionalObject('pre_tokenizer')];
    this.#normalize = normalizer ? readNormalizer(normalizer) : text => text;
    this.#preTokenize = preTokenizer ? readPreTokenizer(preTokenizer) : piece => [piece];
    this.#decoder = readDecoder(fields.optionalObject('decoder'));
    const normalized = addedTokens.filter(token => token.normalized);
    this.#splitNormalized = addedTokenSplitter(normalized, token => this.#normalize(token.content, false));
  }

  encodeText(text: string, { first, continues, parseSpecial }: Place): number[] {
    const normal = this.#normalize(text, continues);
    const ids: number[] = [];
    for (const { start, end, id } of this.#splitNormalized(normal, parseSpecial)) {
      if (id !== undefined) ids.push(id);
      else {
        const atStart = start === 0;
        const piece = { text: normal.slice(start, end), first: first && atStart, continues: continues && atStart };
        for (const word of this.#preTokenize(piece))
          for (const token of this.#bpe.encodeWord(word.text)) ids.push(token);
      }
    }
    return ids;
  }

  stream(): DecodeStream {
    const stages = this.#decoder();
    return { push: id => runStages(stages, this.tokens[id]!), end: () => endStages(stages) };
  }
}

function tokensById(vocab: ReadonlyMap<string, number>, addedTokens: readonly AddedToken[]): (string | undefined)[] {
  const ids = [...vocab.values(), ...addedTokens.map(token => token.id)];
  const size = ids.reduce((highest, id) => Math.max(highest, id), -1) + 1;
  const tokens = new Array<string | undefined>(size).fill(undefined);
  for (const [token, id] of vocab) tokens[id] = token;
  for (const { content, id } of addedTokens) tokens[id] = content;
  return tokens;
}
