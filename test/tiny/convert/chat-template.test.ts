/** @file Templates written as Jinja write the prompts of the templates themselves. */

import { expect, test } from 'vitest';
import { chatTemplate } from '../../../src/engine/convert/chat-template.ts';
import { getTemplate, JinjaTemplate, renderPrompt, templateNames } from '../../../src/processor/index.ts';

const TURNS = ['What is this?\n', ' A cat. ', "It's 'quoted' \\n", 'A2', 'Q3'];

test.each(templateNames().filter(name => !getTemplate(name).plain))('%s', name => {
  const template = getTemplate(name);
  const jinja = new JinjaTemplate(chatTemplate(template), { name, where: name, tokens: {} });
  for (const count of [1, 3, 5]) {
    for (const system of [undefined, 'Be brief.']) {
      const turns = TURNS.slice(0, count);
      const messages = turns.map((text, i) => ({
        role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
        text,
        imageCount: i === 0 ? 1 : 0,
      }));
      const prompt = renderPrompt(
        template,
        turns.map((text, i) => ({ from: i % 2 === 0 ? 'human' : 'gpt', value: (i === 0 ? '<image>\n' : '') + text })),
        system === undefined ? {} : { system },
      );
      expect(jinja.render(messages, system)).toBe(prompt);
    }
  }
});
