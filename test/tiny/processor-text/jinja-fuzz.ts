/** @file Random damage to chat templates: each must render or be refused by a LlavaError, within bounds. */

import { LlavaError, Rng } from '../../../src/core/index.ts';
import { JinjaTemplate } from '../../../src/processor/text/jinja-template.ts';
import { readJson } from './goldens.ts';

/** What is likely to be wrong somewhere. */
const PIECES = [
  ...[
    '{%',
    '%}',
    '{{',
    '}}',
    '{#',
    '#}',
    '-%}',
    '{%-',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '|',
    '.',
    ',',
    ':',
    '~',
    '*',
    '**',
    '%',
  ],
  ...[
    "'",
    '"',
    '\\',
    '\n',
    ' '.repeat(50),
    '999999999999',
    '-1',
    '0',
    '0.5',
    'none',
    'true',
    'not ',
    ' in ',
    ' is ',
    '=',
  ],
  ...[
    'messages',
    'loop',
    'namespace(a=messages)',
    'range(9999)',
    'range(0, 9, 0)',
    'raise_exception(',
    'tojson',
    'join',
  ],
  ...['{% for a in messages %}', '{% endfor %}', '{% if a %}', '{% endif %}', '{% set a = a + a %}', '{% break %}'],
  ...[
    '{% macro m(a) %}{{ m(m) }}{% endmacro %}',
    '{{ m(1) }}',
    '{% set ns.a = [ns, ns] %}',
    '| indent(99999)',
    '[::-1]',
  ],
];

const TOKENS = { bos_token: '<s>', eos_token: '</s>' };

/** A template with one or two faults: parts cut out, repeated, moved, and pieces put in. */
function damage(source: string, rng: Rng): string {
  let text = source;
  const faults = 1 + rng.int(2);
  for (let i = 0; i < faults; i++) {
    const [from, at] = [rng.int(text.length + 1), rng.int(text.length + 1)];
    const part = text.slice(from, from + 1 + rng.int(60));
    const kind = rng.int(4);
    if (kind === 0) text = text.slice(0, from) + text.slice(from + part.length);
    else if (kind === 1) text = text.slice(0, at) + part + text.slice(at);
    else if (kind === 2) text = text.slice(0, from) + PIECES[rng.int(PIECES.length)] + text.slice(from);
    else text = text.slice(0, from) + PIECES[rng.int(PIECES.length)] + text.slice(from + part.length);
  }
  return text;
}

/** How many of `count` damaged templates were refused and rendered. Throws whatever is not a LlavaError. */
export function fuzzJinja(count: number, seed: number): { refused: number; rendered: number } {
  const { templates } = readJson<{ templates: Record<string, { template: string }> }>('prompts.json.gz');
  const sources = Object.values(templates).map(({ template }) => template);
  const rng = new Rng(seed);
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const source = damage(sources[rng.int(sources.length)]!, rng);
    try {
      const template = new JinjaTemplate(source, { name: 'fuzz.jinja', where: 'fuzz.jinja', tokens: TOKENS });
      template.render([{ role: 'user', text: 'What is this?', imageCount: 1 }], 'Be brief.');
    } catch (error) {
      if (!(error instanceof LlavaError) || !/^fuzz\.jinja: expected .+, got /s.test(error.message)) throw error;
      refused++;
    }
  }
  return { refused, rendered: count - refused };
}
