/** @file Checkpoints' own templates against what `transformers` writes with them, and where they are found. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  checkpointTemplate,
  encodePrompt,
  getTemplate,
  IMAGE_TOKEN_INDEX,
  renderPrompt,
  templateFromFile,
  templateNames,
  tokenizerFromJson,
} from '../../../src/processor/text/index.ts';
import { JinjaTemplate } from '../../../src/processor/text/jinja-template.ts';
import { readJson } from './goldens.ts';

type Chat = readonly (readonly ['user' | 'assistant', string, number])[];
interface Golden {
  readonly templates: Record<
    string,
    { template: string; cases: { chat: Chat; system: string | null; prompt: string }[] }
  >;
  readonly processors: Record<
    string,
    { tokenizer: string; roles: Record<string, string>; cases: { prompt: string; ids: (number | number[])[] }[] }
  >;
}

const golden = readJson<Golden>('prompts.json.gz');
const tokens = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
const open = (source: string): JinjaTemplate => new JinjaTemplate(source, { name: 'NAME', where: 'FILE', tokens });
const toMessages = (chat: Chat) => chat.map(([role, text, imageCount]) => ({ role, text, imageCount }));

describe.each(Object.entries(golden.templates))('%s', (name, { template, cases }) => {
  test('is what transformers writes', () => {
    const jinja = open(template);
    for (const { chat, system, prompt } of cases) {
      expect(jinja.render(toMessages(chat), system ?? undefined)).toBe(prompt);
    }
  });

  test.runIf(templateNames().includes(name))('is the built-in template of that name', () => {
    for (const { chat, system, prompt } of cases.filter(({ chat }) => chat.at(-1)![0] === 'user')) {
      const turns = chat.map(([role, text, images]) => ({
        from: role === 'user' ? ('human' as const) : ('gpt' as const),
        value: '<image>\n'.repeat(images) + text,
      }));
      expect(renderPrompt(getTemplate(name), turns, system === null ? {} : { system })).toBe(prompt);
    }
  });
});

test('a system text goes before the first message where the template takes none', () => {
  const mistral = open(golden.templates.hf_llava_1_6_mistral!.template);
  const chat = toMessages([
    ['user', 'Q1', 1],
    ['assistant', 'A1', 0],
    ['user', 'Q2', 0],
  ]);
  expect(mistral.render(chat, 'Be brief.')).toBe('[INST] <image>\nBe brief.\n\nQ1 [/INST] A1</s> [INST] Q2 [/INST]');
  expect(mistral.render(chat, '')).toBe(mistral.render(chat));
});

test('a template may take questions as parts and the system text as plain text', () => {
  const turns =
    '{% for m in messages %}{% if m.role == "system" %}S: {{ m.content }}{% else %}Q: {{ m.content[0].text }}';
  const template = open(`${turns}{% endif %}{% endfor %}`);
  expect(template.render([{ role: 'user', text: 'why', imageCount: 0 }], 'Be brief.')).toBe('S: Be brief.Q: why');
});

test('a template that refuses the conversation, or never writes it, is at fault by its file', () => {
  const mistral = open(golden.templates.hf_llava_1_6_mistral!.template);
  expect(() => mistral.render(toMessages([['assistant', 'A', 0]]))).toThrow(
    /^FILE: expected a chat template that renders, got it refuses the conversation: roles must alternate/,
  );
  expect(() => open('always the same')).toThrow(
    'FILE: expected a chat template that writes the user\'s text, got one that makes "always the same"',
  );
  expect(() => open("{{ raise_exception('not for you') }}")).toThrow(/^FILE: .* not for you$/);
});

describe('where it is found', () => {
  let folder: string;
  const tokenizer = tokenizerFromJson(readJson('json-llama.tokenizer.json.gz'), { roles: { bos: '<s>', eos: '</s>' } });
  const write = (name: string, content: unknown) =>
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  const prompt = () => checkpointTemplate([folder], tokenizer)?.render(toMessages([['user', 'Q', 0]]));
  const says = (text: string): string => `${text} {{ bos_token }}{{ messages[0].content }}{{ eos_token }}`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'llava-template-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('each file goes before the next', () => {
    expect(prompt()).toBeUndefined();
    const named = [
      { name: 'tool_use', template: says('wrong') },
      { name: 'default', template: says('named') },
    ];
    write('tokenizer_config.json', { chat_template: named });
    expect(prompt()).toBe('named <s>Q</s>');
    write('tokenizer_config.json', { chat_template: says('tokenizer') });
    expect(prompt()).toBe('tokenizer <s>Q</s>');
    write('processor_config.json', { chat_template: { default: says('processor') } });
    expect(prompt()).toBe('processor <s>Q</s>');
    write('chat_template.json', { chat_template: says('json') });
    expect(prompt()).toBe('json <s>Q</s>');
    write('chat_template.jinja', says('jinja'));
    expect(prompt()).toBe('jinja <s>Q</s>');
    expect(checkpointTemplate([folder], tokenizer)!.name).toBe('chat_template.jinja');
    expect(templateFromFile(join(folder, 'chat_template.jinja'), tokenizer).name).toBe('chat_template.jinja');
  });

  test('what is wrong with one names its file', () => {
    write('tokenizer_config.json', { chat_template: [{ name: 'tool_use', template: '' }] });
    expect(prompt).toThrow(
      `${folder}/tokenizer_config.json.chat_template: expected a template named default, got tool_use`,
    );
    write('chat_template.json', { chat_template: '{% if %}' });
    expect(prompt).toThrow(`${folder}/chat_template.json: chat_template: expected a chat template that renders, got `);
    write('chat_template.jinja', '{{ range(1000000) }}');
    expect(prompt).toThrow(
      `${folder}/chat_template.jinja: expected a chat template that renders, got range of 1000000`,
    );
    expect(() => templateFromFile(join(folder, 'none.jinja'), tokenizer)).toThrow(
      `${folder}/none.jinja: expected a readable`,
    );
  });
});

test.each(Object.entries(golden.processors))(
  'token ids of the processors: %s',
  (_name, { tokenizer: file, roles, cases }) => {
    const named = Object.fromEntries(Object.entries(roles).map(([role, token]) => [role.replace('_token', ''), token]));
    const tokenizer = tokenizerFromJson(readJson(`json-${file}.tokenizer.json.gz`), { roles: named });
    for (const { prompt, ids } of cases) {
      const once = ids.map(id => (typeof id === 'number' ? id : IMAGE_TOKEN_INDEX));
      expect(encodePrompt(tokenizer, prompt, { encoding: 'hf' })).toEqual(once);
    }
  },
);
