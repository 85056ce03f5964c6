/**
 * @file What a tokenizer is to the rest of the library, whatever file it came from.
 */

/** A token matched as a whole in the text, before any other rule. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Control token such as `</s>` or `<image>`: left out of decoded text on request. */
  readonly special: boolean;
  /** Also takes the whitespace before it. */
  readonly lstrip: boolean;
  /** Also takes the whitespace after it. */
  readonly rstrip: boolean;
  /** Matched only where no word character adjoins. */
  readonly singleWord: boolean;
  /** Matched in the normalised text, not in the text as written. */
  readonly normalized: boolean;
}

/** How to encode. */
export interface EncodeOptions {
  /** Adds the tokens that the tokenizer frames a text with (BOS; start and end for CLIP). Default true. */
  readonly addBos?: boolean;
  /** Reads `</s>`, `<image>` and other special tokens in the text as such; false: as ordinary text. Default true. */
  readonly parseSpecial?: boolean;
}

/** How to decode. */
export interface DecodeOptions {
  /** Leaves special tokens out. Default false. */
  readonly skipSpecial?: boolean;
}

/** Tokens in, text out, as they come. Its pieces joined are the `decode` of all tokens. */
export interface DecodeStream {
  /** The text that this token settles: '' while a character or a run of bytes is incomplete. */
  push(id: number): string;
  /** The text still held back. */
  end(): string;
}

/** Text ↔ token ids. */
export interface Tokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  readonly addedTokens: readonly AddedToken[];
  /** Token ids of `text`; lone surrogates count as U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Encodes the text that `parts` make up, one list of ids a part, so that no token crosses from part to part. Joined,
   * they are `encode` of the joined text wherever no token of that crosses a border.
   */
  encodeParts(parts: readonly string[], options?: EncodeOptions): number[][];
  /** Text of `ids`; ids out of the vocabulary (such as the image index −200) are left out. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  decodeStream(options?: DecodeOptions): DecodeStream;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
}

/** Text with lone surrogates, which UTF-8 cannot hold, replaced by U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** Feeds all ids to a stream and joins what comes out. */
export function decodeAll(stream: DecodeStream, ids: readonly number[]): string {
  return ids.map(id => stream.push(id)).join('') + stream.end();
}
