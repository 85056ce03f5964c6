/**
 * @file The decoders of tokenizer.json, written as streams: tokens are pushed one by one and text comes out as soon as
 * it is settled, so that streamed text is the decoded text by construction.
 */

import { LlavaError } from '../../core/index.ts';
import { tokenBytes } from './byte-level.ts';
import { tokenByte } from './json-bpe.ts';
import { byType, type JsonFields } from './json-fields.ts';
import { readPattern } from './regex.ts';

/** One stage of decoding: tokens in, rewritten tokens out. Has state: one stage decodes one text. */
export interface DecodeStage {
  push(token: string): readonly string[];
  end(): readonly string[];
}

/** Makes a fresh stage. `fused`: the stage before joins all its tokens into one. */
type StageMaker = (fields: JsonFields, fused: boolean) => () => DecodeStage;

const NOTHING: readonly string[] = [];
const REPLACEMENT = '\ufffd';

const MAKERS: Readonly<Record<string, StageMaker>> = {
  ByteLevel: () => byteLevelStage,
  ByteFallback: () => byteFallbackStage,
  Fuse: () => () => mapStage(token => token),
  Replace: (fields, fused) => {
    const [pattern, content] = [readPattern(fields), fields.string('content')];
    const oneCharacter = /^\\?.$/u.test(pattern.source);
    if (fused && !oneCharacter) {
      throw new LlavaError(`${fields.where}.pattern: expected one character after Fuse, got ${pattern.source}`);
    }
    return () => mapStage(token => token.replace(pattern, () => content));
  },
  Strip: (fields, fused) => {
    const [content, start] = [fields.string('content'), fields.count('start')];
    if (fields.count('stop') !== 0) throw new LlavaError(`${fields.where}.stop: expected 0, got ${fields.raw('stop')}`);
    return () => stripStage(content, start, fused);
  },
  Metaspace: fields => {
    const mark = fields.string('replacement', '▁');
    const legacyScheme = fields.boolean('add_prefix_space', true) ? 'always' : 'never';
    const dropsFirst = fields.string('prepend_scheme', legacyScheme) !== 'never';
    return () => {
      let first = dropsFirst;
      return mapStage(token => {
        const blank = first ? '' : ' ';
        first = false;
        return token.replaceAll(mark, blank);
      });
    };
  },
};

/** Types of decoder whose output is one token, whatever goes in. */
const FUSING: readonly string[] = ['Fuse', 'ByteLevel'];

/**
 * The stages of a decoder; for none, tokens are joined by spaces, as `tokenizers` does.
 * @throws LlavaError for a decoder of an unknown type.
 */
export function readDecoder(fields: JsonFields | undefined): () => DecodeStage[] {
  if (!fields) return () => [joinBySpaces()];
  const makers: (() => DecodeStage)[] = [];
  let fused = false;
  for (const stage of flatten(fields)) {
    makers.push(byType(stage, 'decoder', MAKERS)(stage, fused));
    fused ||= FUSING.includes(stage.string('type'));
  }
  return () => makers.map(make => make());
}

function flatten(fields: JsonFields): JsonFields[] {
  return fields.string('type') === 'Sequence' ? fields.objects('decoders').flatMap(flatten) : [fields];
}

/** Pushes a token through `stages` from `from` on and joins what comes out. */
export function runStages(stages: readonly DecodeStage[], token: string, from = 0): string {
  const last = stages.length - 1;
  const run = (input: string, stage: number): string =>
    stage > last
      ? input
      : stages[stage]!.push(input)
          .map(output => run(output, stage + 1))
          .join('');
  return run(token, from);
}

/** Ends each stage in turn; what it still held goes through those after it. */
export function endStages(stages: readonly DecodeStage[]): string {
  const parts = stages.flatMap((stage, i) => stage.end().map(token => runStages(stages, token, i + 1)));
  return parts.join('');
}

function mapStage(rewrite: (token: string) => string): DecodeStage {
  return { push: token => [rewrite(token)], end: () => NOTHING };
}

function joinBySpaces(): DecodeStage {
  let first = true;
  return mapStage(token => {
    const text = first ? token : ` ${token}`;
    first = false;
    return text;
  });
}

function byteLevelStage(): DecodeStage {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push: token => [decoder.decode(tokenBytes(token), { stream: true })],
    end: () => [decoder.decode()],
  };
}

/** A run of byte tokens is its text when the whole run is UTF-8, else one U+FFFD a byte. */
function byteFallbackStage(): DecodeStage {
  let bytes: number[] = [];
  const flush = (): string[] => {
    const run = bytes;
    bytes = [];
    return run.length === 0 ? [] : decodeRun(run);
  };
  return {
    push: token => {
      const byte = tokenByte(token);
      if (byte === undefined) return [...flush(), token];
      bytes.push(byte);
      return NOTHING;
    },
    end: flush,
  };
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeRun(bytes: readonly number[]): string[] {
  try {
    return [strict.decode(Uint8Array.from(bytes))];
  } catch {
    return bytes.map(() => REPLACEMENT);
  }
}

/** Takes up to `count` times `content` off the front of each token; of the first text only, when `fused`. */
function stripStage(content: string, count: number, fused: boolean): DecodeStage {
  let left = count;
  return mapStage(token => {
    let text = token;
    if (!fused) left = count;
    for (; left > 0 && text.startsWith(content) && content !== ''; left--) text = text.slice(content.length);
    if (text !== '') left = 0;
    return text;
  });
}
