/**
 * @file The one implementation of {@link Tokenizer}: cuts out added tokens, frames the ids, hides special tokens. What
 * differs between file formats, text ↔ ids in between, is a {@link TokenModel}.
 */

import type { Splitter } from './added-tokens.ts';
import {
  type AddedToken,
  type DecodeOptions,
  type DecodeStream,
  decodeAll,
  type EncodeOptions,
  type Tokenizer,
  wellFormed,
} from './tokenizer.ts';

/** Where a stretch of text stands, as far as tokens depend on it. */
export interface Place {
  /** It begins the whole text. */
  readonly first: boolean;
  /** It goes on from the part before without a token between, and so takes no prefix. */
  readonly continues: boolean;
  /** Special tokens in it are read as such. */
  readonly parseSpecial: boolean;
}

/** Text ↔ ids between added tokens. */
export interface TokenModel {
  /** Token of each id, added tokens included. */
  readonly tokens: readonly (string | undefined)[];
  encodeText(text: string, place: Place): readonly number[];
  /** Decodes one text; gets no id without a token. */
  stream(): DecodeStream;
}

/** Ids put around every text. */
export interface Frame {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** What a {@link TextTokenizer} is made of. */
export interface TokenizerParts {
  readonly model: TokenModel;
  readonly split: Splitter;
  readonly addedTokens: readonly AddedToken[];
  /** Ids that `skipSpecial` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  readonly frame: Frame;
  /** Tokens by role. */
  readonly roles: TokenRoles;
}

/** Tokens by role, as special_tokens_map.json names them. */
export interface TokenRoles {
  readonly bos?: string | undefined;
  readonly eos?: string | undefined;
  readonly pad?: string | undefined;
  readonly unk?: string | undefined;
}

/** Frame of a tokenizer that adds nothing. */
export const NO_FRAME: Frame = { prefix: [], suffix: [] };

export class TextTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  readonly addedTokens: readonly AddedToken[];
  readonly #parts: TokenizerParts;
  readonly #ids = new Map<string, number>();

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    const { tokens } = parts.model;
    tokens.forEach((token, id) => {
      if (token !== undefined && !this.#ids.has(token)) this.#ids.set(token, id);
    });
    for (const { content, id } of parts.addedTokens) this.#ids.set(content, id);
    this.vocabSize = tokens.length;
    this.addedTokens = parts.addedTokens;
    const { bos, eos, pad, unk } = parts.roles;
    [this.bosId, this.eosId, this.padId, this.unkId] = [bos, eos, pad, unk].map(
      role => role && this.#ids.get(role),
    ) as (number | undefined)[];
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return this.encodeParts([text], options)[0]!;
  }

  encodeParts(parts: readonly string[], options: EncodeOptions = {}): number[][] {
    const { addBos = true, parseSpecial = true } = options;
    const ids = this.#encodeSections(parts, parseSpecial);
    if (addBos && ids.length > 0) {
      ids[0]!.unshift(...this.#parts.frame.prefix);
      ids.at(-1)!.push(...this.#parts.frame.suffix);
    }
    return ids;
  }

  #encodeSections(parts: readonly string[], parseSpecial: boolean): number[][] {
    const text = wellFormed(parts.join(''));
    const ids: number[][] = parts.map(() => []);
    let [part, border] = [0, parts[0]?.length ?? 0];
    for (const section of this.#parts.split(text, parseSpecial)) {
      let start = section.start;
      while (start < section.end) {
        while (start >= border) border += parts[++part]!.length;
        const end = section.id === undefined ? Math.min(section.end, border) : section.end;
        if (section.id !== undefined) ids[part]!.push(section.id);
        else {
          const place = { first: start === 0, continues: start > section.start, parseSpecial };
          for (const id of this.#parts.model.encodeText(text.slice(start, end), place)) ids[part]!.push(id);
        }
        start = end;
      }
    }
    return ids;
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    return decodeAll(this.decodeStream(options), ids);
  }

  decodeStream(options: DecodeOptions = {}): DecodeStream {
    const { model, specialIds } = this.#parts;
    const stream = model.stream();
    const hidden = (id: number): boolean =>
      model.tokens[id] === undefined || (options.skipSpecial === true && specialIds.has(id));
    return { push: id => (hidden(id) ? '' : stream.push(id)), end: () => stream.end() };
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#parts.model.tokens[id];
  }
}
