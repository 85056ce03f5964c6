import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Detokenizer,
  StopMatcher,
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromModel,
} from '../../../src/processor/text/index.ts';
import { mismatches, readGz, readJson, readTexts } from './goldens.ts';

const TEXTS = readTexts().slice(0, 250);
/** Any character; fast-check's own unit `binary` takes a second to set up. */
const character = fc
  .integer({ min: 0, max: 0x10ffff })
  .map(code => String.fromCodePoint(code >> 11 === 27 ? 0x41 : code));

const tokenizers: Readonly<Record<string, Tokenizer>> = {
  'sp-bpe-llama': tokenizerFromModel(readGz('sp-bpe-llama.model.gz')),
  'sp-unigram-bytes': tokenizerFromModel(readGz('sp-unigram-bytes.model.gz')),
  llama: tokenizerFromJson(readJson('json-llama.tokenizer.json.gz')),
  'metaspace-split': tokenizerFromJson(readJson('json-metaspace-split.tokenizer.json.gz')),
  llama3: tokenizerFromJson(readJson('json-llama3.tokenizer.json.gz')),
};

describe.each(Object.entries(tokenizers))('%s', (name, tokenizer) => {
  const stream = (ids: readonly number[]): string[] => {
    const detokenizer = new Detokenizer(tokenizer);
    return [...ids.map(id => detokenizer.push(id)), detokenizer.end()];
  };

  test('streamed pieces joined are the decoded text, also of ids that make no text', () => {
    const id = fc.integer({ min: -1, max: tokenizer.vocabSize });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), ids => {
        expect(stream(ids).join('')).toBe(tokenizer.decode(ids, { skipSpecial: true }));
      }),
    );
  });

  test('no piece of well-formed text holds U+FFFD or half a character', () => {
    const texts = TEXTS.filter(text => !text.includes('\ufffd'));
    const broken = texts.filter(text =>
      stream(tokenizer.encode(text)).some(piece => /[\ufffd\p{Surrogate}]/u.test(piece)),
    );
    expect(broken).toEqual([]);
  });

  test('decode(encode(text)) is the text', () => {
    if (name === 'sp-unigram-bytes' || name === 'metaspace-split') return; // these normalise, or drop the first spaces
    const plain = TEXTS.filter(text => !/<|▁/.test(text));
    const back = (text: string): string => tokenizer.decode(tokenizer.encode(text), { skipSpecial: true });
    expect(mismatches(plain, plain, back)).toEqual([]);
    fc.assert(
      fc.property(fc.string({ unit: character }), text => {
        fc.pre(!/<|▁/.test(text));
        expect(back(text)).toBe(text);
      }),
    );
  });
});

test('a character in bytes comes out when its last byte does, or with what follows it', () => {
  const tokenizer = tokenizers['sp-bpe-llama']!;
  const ids = tokenizer.encode('a😀b', { addBos: false });
  const detokenizer = new Detokenizer(tokenizer);
  expect(ids.map(id => detokenizer.push(id))).toEqual(['a', '', '', '', '😀', 'b']);
});

describe('StopMatcher', () => {
  const run = (stops: string[], pieces: string[]): { text: string; stopped: string | undefined } => {
    const matcher = new StopMatcher(stops);
    const text = pieces.map(piece => matcher.push(piece)).join('') + matcher.end();
    return { text, stopped: matcher.stopped };
  };

  test('holds back what may become a stop string', () => {
    const matcher = new StopMatcher(['###', '</s>']);
    expect(['a#', '#', 'b', '<', '/s', '>tail'].map(piece => matcher.push(piece))).toEqual([
      'a',
      '',
      '##b',
      '',
      '',
      '',
    ]);
    expect(matcher.stopped).toBe('</s>');
    expect(matcher.push('more')).toBe('');
    expect(matcher.end()).toBe('');
  });

  test('passes on at the end what was no stop string', () => {
    expect(run(['###'], ['a', '##'])).toEqual({ text: 'a##', stopped: undefined });
  });

  test('without stop strings all text passes at once', () => {
    expect(new StopMatcher([]).push('abc')).toBe('abc');
  });

  test('the stop string complete first wins', () => {
    expect(run(['abcd', 'bc'], ['abcd'])).toEqual({ text: 'a', stopped: 'bc' });
    expect(run(['cd', 'bcd'], ['abcd'])).toEqual({ text: 'a', stopped: 'bcd' });
  });

  test('does not depend on how the text is split', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 5 }), fc.array(stop, { maxLength: 3 }), (pieces, stops) => {
        expect(run(stops, pieces)).toEqual(run(stops, [pieces.join('')]));
        const { text, stopped } = run(stops, pieces);
        expect(stops.filter(value => text.includes(value))).toEqual([]);
        if (stopped === undefined) expect(text).toBe(pieces.join(''));
      }),
    );
  });

  test('an empty stop string is refused', () => {
    expect(() => new StopMatcher([''])).toThrow("stop: expected non-empty strings, got ''");
  });
});
