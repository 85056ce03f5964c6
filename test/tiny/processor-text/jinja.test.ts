/** @file Chat templates in Jinja: what a hostile one can do. What they render is tested against transformers. */

import { describe, expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import { Jinja } from '../../../src/processor/text/jinja.ts';
import { fuzzJinja } from './jinja-fuzz.ts';

const render = (source: string, variables = {}): string => new Jinja(source, 'FILE').render(variables);

test('values, loops and blocks as transformers sets them up', () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  const source = '{% for m in messages %}\n  {{ m.role }}: {{ m["content"] }}\n{% endfor %}\n{{ none is none }}';
  expect(render(source, { messages })).toBe('  user: Hi\nTrue'.replace('True', 'true'));
  expect(render('{{ range(3) | length }}{{ range(6, 0, -2) | join(",") }}')).toBe('36,4,2');
  expect(render("{{ strftime_now('%Y-%m-%d %b') }}")).toMatch(/^\d{4}-\d\d-\d\d [A-Z][a-z]{2}$/);
});

describe('what comes to no end is refused within bounds', () => {
  const deep = (open: string, close: string): string => `{{ ${open.repeat(5000)}1${close.repeat(5000)} }}`;
  test.each([
    ['nested loops', '{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}', /more work/],
    ['a long range', '{{ range(1000000) }}', /range of 1000000 numbers/],
    ['a range without step', '{{ range(0, 5, 0) }}', /range of Infinity/],
    [
      'doubling a text',
      '{% set n = namespace(x="ab") %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
      /more work/,
    ],
    [
      'doubling a list',
      '{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
      /more work/,
    ],
    [
      'a list within itself, twice',
      '{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}',
      /more work/,
    ],
    [
      'a chain of namespaces, each in the next one twice',
      `{% set n0 = namespace() %}{% set l0 = [n0, n0] %}${Array.from({ length: 40 }, (_, i) => `{% set n${i + 1} = namespace() %}{% set l${i + 1} = [n${i + 1}, n${i + 1}] %}{% set n${i + 1}.x = l${i} %}`).join('')}{{ l40 }}`,
      /more work/,
    ],
    ['a namespace within itself', '{% set n = namespace(x=1) %}{% set n.x = [n] %}{{ n }}', /call stack/],
    ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /call/],
    ['a wide indent', '{{ "a\\nb" | indent(999999999) }}', /the number 999999999/],
    ['a number past all bounds', '{{ 99999 ** 9 }}', /the number/],
    ['a text many times', '{{ "a" * 100000 }}', /Unknown operator/],
    ['blanks without end', `{%${' '.repeat(60_000)}`, /blanks in a row/],
    ['brackets without end', deep('(', ')'), /call stack/],
    ['lists without end', deep('[', ']'), /call stack/],
    ['a long source', 'x'.repeat(70_000), /70000 characters/],
    ['break outside of a loop', '{% break %}', /./],
    ['an unknown tag', '{% import "os" %}', /./],
    ['an unclosed block', '{% if true %}', /./],
    [
      'an exception of its own',
      "{{ raise_exception('roles must alternate') }}",
      /refuses the conversation: roles must alternate/,
    ],
    ['a call of nothing', '{{ messages.constructor("return process")() }}', /./],
  ])('%s', (_what, source, message) => {
    const start = performance.now();
    let thrown: unknown;
    try {
      thrown = `rendered ${render(source).length} characters`;
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(LlavaError);
    expect((thrown as Error).message).toMatch(/^FILE: expected a chat template that renders, got /);
    expect((thrown as Error).message).toMatch(message);
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

test.each(['constructor', '__proto__', 'prototype', 'toString', 'valueOf', 'hasOwnProperty'])(
  'nothing of the engine is in reach: %s',
  name => {
    for (const base of [
      'messages',
      'messages[0]',
      "'text'",
      '1',
      'raise_exception',
      'range',
      'none',
      'namespace(a=1)',
    ]) {
      expect(render(`{{ ${base}.${name} is defined }}{{ ${name} is defined }}`, { messages: ['x'] })).toBe(
        'falsefalse',
      );
    }
  },
);

test('long conversations are rendered', () => {
  const turn = (i: number) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: `${i} `.repeat(300) });
  const messages = Array.from({ length: 400 }, (_, i) => turn(i));
  const source =
    '{% for m in messages %}{% if (m.role == "user") != (loop.index0 % 2 == 0) %}{{ raise_exception("order") }}{% endif %}<{{ m.role }}>{{ messages[loop.index0].content | trim }}{{ "\\n" }}{% endfor %}';
  expect(render(source, { messages }).split('\n')).toHaveLength(401);
});

test('damaged templates are refused or render', () => {
  const { refused, rendered } = fuzzJinja(200, 1);
  expect(Math.min(refused, rendered)).toBeGreaterThan(10);
});
