/**
 * @file Decoding of SentencePiece ids as a stream.
 */

import { Buffer } from 'node:buffer';
import { tokenByte } from './json-bpe.ts';
import type { PieceType, SentencePieceSpec } from './sentencepiece-model.ts';
import { SPACE_MARK } from './sentencepiece-normalizer.ts';
import type { DecodeStream } from './tokenizer.ts';

const REPLACEMENT = '\ufffd';

/** Decodes piece by piece; bytes are held until they make a character, bytes that cannot are U+FFFD each. */
export class SentencePieceStream implements DecodeStream {
  readonly #spec: SentencePieceSpec;
  readonly #bytes = new ByteDecoder();
  #textSeen = false;
  /** The dummy prefix was dropped from an earlier piece. */
  #prefixSeen = false;

  constructor(spec: SentencePieceSpec) {
    this.#spec = spec;
  }

  push(id: number): string {
    const piece = this.#spec.pieces[id];
    if (!piece) return '';
    const byte = piece.type === 'byte' ? tokenByte(piece.piece) : undefined;
    if (byte !== undefined) return this.#note(this.#bytes.push(byte));
    const before = this.#note(this.#bytes.end());
    return before + this.#note(this.#surface(piece.piece, piece.type));
  }

  /** Text to come out as it is, between pieces. */
  pushText(text: string): string {
    return this.#note(this.#bytes.end() + text);
  }

  end(): string {
    return this.#bytes.end();
  }

  #note(text: string): string {
    this.#textSeen ||= text !== '';
    return text;
  }

  #surface(piece: string, type: PieceType): string {
    if (type === 'control') return '';
    if (type === 'unknown') return this.#spec.unkSurface;
    const { addDummyPrefix, removeExtraWhitespaces } = this.#spec;
    const atStart = !this.#textSeen && !this.#prefixSeen && (addDummyPrefix || removeExtraWhitespaces);
    const dropsPrefix = atStart && piece.startsWith(SPACE_MARK);
    if (dropsPrefix) this.#prefixSeen = !removeExtraWhitespaces;
    return (dropsPrefix ? piece.slice(1) : piece).replaceAll(SPACE_MARK, ' ');
  }
}

/** UTF-8 from single bytes. Where no character can be made of the bytes, the first of them is U+FFFD. */
class ByteDecoder {
  #held: number[] = [];

  push(byte: number): string {
    this.#held.push(byte);
    return this.#settle(false);
  }

  end(): string {
    return this.#settle(true);
  }

  #settle(final: boolean): string {
    let text = '';
    while (this.#held.length > 0) {
      const length = sequenceLength(this.#held);
      if (length > this.#held.length && !final) break;
      const taken = this.#held.splice(0, length > 0 && length <= this.#held.length ? length : 1);
      text += length > 0 && taken.length === length ? Buffer.from(taken).toString() : REPLACEMENT;
    }
    return text;
  }
}

/** Length of the UTF-8 sequence that `bytes` begin with, or may yet begin with; 0 when they cannot. */
function sequenceLength(bytes: readonly number[]): number {
  const [first, second] = [bytes[0]!, bytes[1]];
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length < 2 || second === undefined) return length;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  const rest = bytes.slice(2, length);
  return rest.every(byte => byte >= 0x80 && byte <= 0xbf) ? length : 0;
}
