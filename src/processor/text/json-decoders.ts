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
    const [content, start, stop] = [fields.string('content'), fields.count('start'), fields.count('stop')];
    if (fused) return () => stripStream(content, start, stop);
    return () => mapStage(token => stripToken(token, content, start, stop));
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

function stripToken(token: string, content: string, start: number, stop: number): string {
  const chars = Array.from(token);
  let from = 0;
  while (from < Math.min(start, chars.length) && chars[from] === content) from++;
  let to = chars.length;
  while (to > Math.max(from, chars.length - stop) && chars[to - 1] === content) to--;
  return chars.slice(from, to).join('');
}

/** Strips the joined text: leading characters as they come, trailing ones held back until more text follows. */
function stripStream(content: string, start: number, stop: number): DecodeStage {
  let startLeft = start;
  let tail = '';
  return {
    push: token => {
      let text = token;
      while (startLeft > 0 && text !== '') {
        const match = text.startsWith(content);
        if (match) text = text.slice(content.length);
        startLeft = match ? startLeft - 1 : 0;
      }
      text = tail + text;
      let keep = text.length;
      while (stop > 0 && text.endsWith(content, keep) && keep > 0) keep -= content.length;
      tail = text.slice(keep);
      return [text.slice(0, keep)];
    },
    end: () => [stripToken(tail, content, 0, stop)],
  };
}
