import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import { parseJson, readJson } from '../../../src/weights/index.ts';
import { refusal, temporaryFile, temporaryFolder } from './helpers.ts';

test('errors name the file, the line and the column', () => {
  const at = (text: string): string | undefined => refusal(() => parseJson(text, 'f'));
  expect(at('{\n  "a": 1,\n  "b": x\n}')).toBe('f:3:8: expected a JSON value, got "x\\n}"');
  expect(at('{"a": 1')).toBe('f:1:8: expected "," or "}", got the end');
  expect(at('{"a": 1,}')).toBe('f:1:9: expected a name in double quotes, got "}"');
  expect(at('{"a" 1}')).toBe('f:1:6: expected ":", got "1}"');
  expect(at('')).toBe('f:1:1: expected a JSON value, got the end');
  expect(at('[1] 2')).toBe('f:1:5: expected nothing more, got "2"');
  expect(at('["\\q"]')).toBe('f:1:2: expected valid escapes in a string, got "\\"\\\\q\\"]"');
  expect(at('"a\nb"')).toBe('f:1:3: expected control characters in a string to be escaped, got "\\nb\\""');
  expect(at('"abc')).toBe('f:1:5: expected a closing double quote, got the end');
});

test('a missing file, a folder and bytes that are not UTF-8', () => {
  const folder = temporaryFolder();
  expect(refusal(() => readJson(`${folder}/config.json`, 'a model config'))).toBe(
    `${folder}/config.json: expected a model config, got ENOENT: no such file or directory`,
  );
  expect(refusal(() => readJson(folder))).toBe(`${folder}: expected a JSON file, got a folder`);
  const binary = temporaryFile('x.json', Uint8Array.of(0x22, 0xff, 0x22));
  expect(refusal(() => readJson(binary))).toBe(`${binary}: expected UTF-8 text, got bytes that are not UTF-8`);
  expect(readJson(temporaryFile('y.json', '{"a": [1, "é"]}'))).toEqual({ a: [1, 'é'] });
});

test('every text that JSON.parse refuses is located', () => {
  const rng = new Rng(3);
  const insertions = ['{', '}', '[', ']', ',', ':', '"', '\\', '-', '0', '.', 'e', 'null', '\n', '\u0001'];
  fc.assert(
    fc.property(fc.json({ maxDepth: 3, stringUnit: 'grapheme' }), json => {
      const at = rng.int(json.length + 1);
      const text = json.slice(0, at) + (rng.int(2) ? rng.pick(insertions) : '') + json.slice(at + rng.int(2));
      const message = refusal(() => parseJson(text, 'f'));
      if (message !== undefined) expect(message).toMatch(/^f:\d+:\d+: expected /);
      else expect(parseJson(text, 'f')).toEqual(JSON.parse(text));
    }),
    { numRuns: 3000 },
  );
});

test('nesting too deep to locate still gives one line', () => {
  expect(refusal(() => parseJson('['.repeat(1_000_000), 'f'))).toMatch(/^f: expected JSON, got [^\n]+$/);
});
