/** @file A conversation template as the Jinja text that `transformers` keeps in chat_template.jinja. */

import { IMAGE_MARK, JinjaTemplate, type PromptTemplate } from '../../processor/index.ts';

/** A Jinja string literal. */
const literal = (text: string): string =>
  `'${text.replace(/[\\'\n]/g, sign => (sign === '\n' ? '\\n' : `\\${sign}`))}'`;

/** `{{ 'text' }}`, nothing for no text. */
const say = (text: string): string => (text === '' ? '' : `{{ ${literal(text)} }}`);

const PARTS = (type: string, body: string): string =>
  `{% for part in message['content'] if part['type'] == '${type}' %}${body}{% endfor %}`;

/** Texts as a plain string or as parts; images first, each on a line of its own, as LLaVA's training has them. */
const WRITTEN =
  `{% if message['content'] is string %}{{ message['content'] }}{% else %}` +
  `${PARTS('image', say(`${IMAGE_MARK}\n`))}${PARTS('text', `{{ part['text'] }}`)}{% endif %}`;
const TRIMMED = `{% set written %}${WRITTEN}{% endset %}{{ written | trim }}`;

/**
 * The Jinja text that gives the same prompts as `template`, up to a gap after the last answer of a closed conversation. A
 * system message in first place takes the place of the template's own system text. A template in Jinja is its own text.
 */
export function chatTemplate(template: PromptTemplate): string {
  if (template instanceof JinjaTemplate) return template.source;
  const { head, human, answer } = template;
  const content = template.trim ? TRIMMED : WRITTEN;
  const system = `{% if system %}${say(head[0])}{{ system${template.trim ? ' | trim' : ''} }}${say(head[1])}{% endif %}`;
  const first = `{% if loop.first %}${system}{% endif %}`;
  const [question, reply] = template.opening;
  const opening =
    question === undefined || reply === undefined
      ? ''
      : say(human[0] + question + human[1] + template.open + answer[0] + reply + answer[1]);
  const turn = say(human[0]) + (template.systemInTurn ? first : '') + content + say(human[1]);
  return [
    `{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}`,
    `{% else %}{% set system = ${literal(template.system)} %}{% endif %}`,
    say(template.start) + (template.systemInTurn ? '' : system + opening),
    `{% for message in messages %}{% if message['role'] == 'user' %}${turn}{% else %}`,
    say(template.open + answer[0]) + content + say(answer[1] + template.after),
    `{% if not loop.last %}${say(template.between)}{% endif %}{% endif %}{% endfor %}`,
    `{% if add_generation_prompt %}${say(template.open)}{% endif %}`,
  ].join('');
}
