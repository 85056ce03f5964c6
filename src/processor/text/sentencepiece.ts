/**
 * @file Encodes and decodes as the sentencepiece library does with a `.model` file of type BPE or unigram.
 */

import { tokenByte } from './json-bpe.ts';
import { BpeSegmenter, type Emit } from './sentencepiece-bpe.ts';
import type { SentencePieceSpec } from './sentencepiece-model.ts';
import { prefixMatcher, SentencePieceNormalizer } from './sentencepiece-normalizer.ts';
import { SentencePieceStream } from './sentencepiece-stream.ts';
import { decodeAll, wellFormed } from './tokenizer.ts';
import { UnigramSegmenter } from './unigram.ts';

export class SentencePieceModel {
  readonly spec: SentencePieceSpec;
  readonly unknownId: number;
  readonly #normalizer: SentencePieceNormalizer;
  readonly #segment: (text: string, emit: Emit) => void;
  /** Id of each byte, for models with byte fallback. */
  readonly #byteIds: readonly number[];

  constructor(spec: SentencePieceSpec) {
    this.spec = spec;
    const userDefined = spec.pieces.filter(piece => piece.type === 'userDefined').map(piece => piece.piece);
    this.unknownId = spec.pieces.findIndex(piece => piece.type === 'unknown');
    this.#normalizer = new SentencePieceNormalizer(spec, userDefined);
    this.#byteIds = spec.byteFallback ? byteIds(spec) : [];
    if (spec.modelType === 'bpe') {
      const segmenter = new BpeSegmenter(spec, prefixMatcher(userDefined));
      this.#segment = (text, emit) => segmenter.segment(text, emit);
    } else {
      const segmenter = new UnigramSegmenter(spec.pieces);
      this.#segment = (text, emit) => segmenter.segment(text, emit);
    }
  }

  /** Ids of `text`, which is all text: `<s>` in it is three characters. `dummyPrefix` false leaves the prefix out. */
  encode(text: string, dummyPrefix = true): number[] {
    const ids: number[] = [];
    let afterUnknown = false;
    this.#segment(this.#normalizer.normalize(wellFormed(text), dummyPrefix), (piece, id) => {
      const unknown = id === this.unknownId;
      if (unknown && this.spec.byteFallback) for (const byte of Buffer.from(piece)) ids.push(this.#byteIds[byte]!);
      else if (!unknown || !afterUnknown) ids.push(id); // a run of unknown pieces is one token
      afterUnknown = unknown;
    });
    return ids;
  }

  decode(ids: readonly number[]): string {
    return decodeAll(this.stream(), ids);
  }

  /** Decodes one text. Control pieces are silent, the unknown piece is the model's `unkSurface`. */
  stream(): SentencePieceStream {
    return new SentencePieceStream(this.spec);
  }
}

function byteIds(spec: SentencePieceSpec): number[] {
  const ids: number[] = [];
  spec.pieces.forEach(({ piece, type }, id) => {
    const byte = type === 'byte' ? tokenByte(piece) : undefined;
    if (byte !== undefined) ids[byte] = id;
  });
  return Array.from(
    { length: 256 },
    (_, byte) => ids[byte] ?? spec.pieces.findIndex(piece => piece.type === 'unknown'),
  );
}
