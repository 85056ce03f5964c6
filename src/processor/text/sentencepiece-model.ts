/**
 * @file Reads SentencePiece `.model` files: the fields of `ModelProto` that encoding and decoding need (field numbers:
 * sentencepiece_model.proto of google/sentencepiece).
 */

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { LlavaError } from '../../core/index.ts';

export type PieceType = 'normal' | 'unknown' | 'control' | 'userDefined' | 'unused' | 'byte';

export interface SentencePiece {
  readonly piece: string;
  /** Log probability (unigram) or minus the rank of the merge (BPE). */
  readonly score: number;
  readonly type: PieceType;
}

export interface SentencePieceSpec {
  readonly pieces: readonly SentencePiece[];
  readonly modelType: 'unigram' | 'bpe';
  readonly byteFallback: boolean;
  /** The dummy prefix goes to the end of the text. */
  readonly whitespaceAsSuffix: boolean;
  /** What an unknown piece decodes to. */
  readonly unkSurface: string;
  /** Compiled character rules; empty for the identity. */
  readonly charsmap: Uint8Array;
  /** Adds a space in front of the text. */
  readonly addDummyPrefix: boolean;
  /** Trims spaces and makes one of several. */
  readonly removeExtraWhitespaces: boolean;
  /** Writes spaces as `▁`. */
  readonly escapeWhitespaces: boolean;
}

/** `number → handler` of the fields wanted of a message; other fields are skipped. */
type Handlers = Readonly<Record<number, (reader: BinaryReader) => void>>;

const TYPES: readonly PieceType[] = ['normal', 'normal', 'unknown', 'control', 'userDefined', 'unused', 'byte'];
const MODEL_TYPES = ['unigram', 'unigram', 'bpe', 'word', 'char'];

/**
 * Parses the bytes of a `.model` file.
 * @throws LlavaError when they are not a SentencePiece model, or one of type word or char.
 */
export function readSentencePieceModel(bytes: Uint8Array, where = 'tokenizer.model'): SentencePieceSpec {
  try {
    return readModel(bytes, where);
  } catch (error) {
    if (error instanceof LlavaError) throw error;
    throw new LlavaError(`${where}: expected a SentencePiece model, got broken data (${(error as Error).message})`);
  }
}

function readModel(bytes: Uint8Array, where: string): SentencePieceSpec {
  const pieces: SentencePiece[] = [];
  const options = { addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true };
  const trainer = { byteFallback: false, whitespaceAsSuffix: false, unkSurface: ' \u2047 ' };
  let modelType = 1;
  let charsmap: Uint8Array = new Uint8Array();
  const trainerSpec: Handlers = {
    3: reader => {
      modelType = reader.int32();
    },
    24: reader => {
      trainer.whitespaceAsSuffix = reader.bool();
    },
    35: reader => {
      trainer.byteFallback = reader.bool();
    },
    44: reader => {
      trainer.unkSurface = reader.string();
    },
  };
  const normalizerSpec: Handlers = {
    2: reader => {
      charsmap = reader.bytes().slice();
    },
    3: reader => {
      options.addDummyPrefix = reader.bool();
    },
    4: reader => {
      options.removeExtraWhitespaces = reader.bool();
    },
    5: reader => {
      options.escapeWhitespaces = reader.bool();
    },
  };
  readFields(new BinaryReader(bytes), {
    1: reader => pieces.push(readPiece(reader.bytes())),
    2: reader => readFields(new BinaryReader(reader.bytes()), trainerSpec),
    3: reader => readFields(new BinaryReader(reader.bytes()), normalizerSpec),
  });
  const type = MODEL_TYPES[modelType];
  if (type !== 'unigram' && type !== 'bpe')
    throw new LlavaError(`${where}: expected model type unigram or bpe, got ${type ?? modelType}`);
  checkPieces(pieces, trainer.byteFallback, where);
  return { pieces, modelType: type, charsmap, ...options, ...trainer };
}

function readPiece(bytes: Uint8Array): SentencePiece {
  let [piece, score, type] = ['', 0, 1];
  readFields(new BinaryReader(bytes), {
    1: reader => {
      piece = reader.string();
    },
    2: reader => {
      score = reader.float();
    },
    3: reader => {
      type = reader.int32();
    },
  });
  return { piece, score, type: TYPES[type] ?? 'normal' };
}

function readFields(reader: BinaryReader, handlers: Handlers): void {
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const handle = handlers[field];
    if (handle) handle(reader);
    else reader.skip(wireType, field);
  }
}

/** What sentencepiece itself demands of a vocabulary. */
export function checkPieces(pieces: readonly SentencePiece[], byteFallback: boolean, where: string): void {
  const seen = new Set<string>();
  const counts = { unknown: 0, byte: 0 };
  for (const { piece, score, type } of pieces) {
    if (piece === '' || seen.has(piece))
      throw new LlavaError(`${where}: expected distinct pieces, got ${JSON.stringify(piece)}`);
    if (!Number.isFinite(score)) throw new LlavaError(`${where}: expected a finite score of ${piece}, got ${score}`);
    seen.add(piece);
    if (type === 'unknown' || type === 'byte') counts[type]++;
  }
  if (counts.unknown !== 1) throw new LlavaError(`${where}: expected one unknown piece, got ${counts.unknown}`);
  if (byteFallback && counts.byte !== 256)
    throw new LlavaError(`${where}: expected 256 byte pieces, got ${counts.byte}`);
}
