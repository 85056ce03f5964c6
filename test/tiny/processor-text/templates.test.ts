import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  getTemplate,
  type Message,
  moveImageFirst,
  renderPrompt,
  renderSegments,
  selectTemplate,
  templateNames,
} from '../../../src/processor/text/index.ts';

interface Prompts {
  readonly open1: string;
  readonly open2: string | null;
  readonly closed2: string | null;
}

const path = new URL('../../golden/processor-text/templates.json', import.meta.url);
const golden: Record<string, Prompts> = JSON.parse(readFileSync(path, 'utf8')).templates;

const TURNS: readonly Message[] = [
  { from: 'human', value: '<image>\nQ1' },
  { from: 'gpt', value: 'A1' },
  { from: 'human', value: 'Q2' },
  { from: 'gpt', value: 'A2' },
];

describe('prompts are the original ones to the character', () => {
  test.each(Object.keys(golden))('%s', name => {
    const template = getTemplate(name);
    const { open1, open2, closed2 } = golden[name]!;
    expect(renderPrompt(template, TURNS.slice(0, 1))).toBe(open1);
    if (open2 !== null) expect(renderPrompt(template, TURNS.slice(0, 3))).toBe(open2);
    if (closed2 !== null) expect(renderPrompt(template, TURNS)).toBe(closed2);
  });

  test('every built-in template has a golden, but for those of llava-hf, those below and our own', () => {
    const others = templateNames().filter(name => !name.startsWith('hf_') && !(name in golden));
    expect(others).toEqual(['llava_llama_3', 'llava_med', 'llava_med_v1_5', 'v1_brief']);
    expect(renderPrompt(getTemplate('v1_brief'), TURNS)).toBe(
      'USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT: A2</s>',
    );
  });
});

test('llava_llama_3: as the chat template of Meta-Llama-3-8B-Instruct', () => {
  const header = (role: string): string => `<|start_header_id|>${role}<|end_header_id|>\n\n`;
  const system =
    'You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.';
  const start = `<|begin_of_text|>${header('system')}${system}<|eot_id|>`;
  const first = `${header('user')}<image>\nQ1<|eot_id|>${header('assistant')}`;
  const template = getTemplate('llava_llama_3');
  expect(renderPrompt(template, TURNS.slice(0, 1))).toBe(start + first);
  const second = `A1<|eot_id|>${header('user')}Q2<|eot_id|>${header('assistant')}`;
  expect(renderPrompt(template, TURNS.slice(0, 3))).toBe(start + first + second);
  const spaced = [{ from: 'human', value: ' <image>\n Q \n' }] as const;
  expect(renderPrompt(template, spaced, { system: '' })).toBe(
    `<|begin_of_text|>${header('user')}<image>\n Q<|eot_id|>${header('assistant')}`,
  );
});

test('LLaVA-Med: its own opening in v1, the form of Mistral in v1.5', () => {
  const system =
    'You are LLaVA-Med, a large language and vision assistant trained by a group of researchers at Microsoft, based on the general domain LLaVA architecture.You are able to understand the visual content that the user provides, and assist the user with a variety of medical and clinical tasks using natural language.Follow the instructions carefully and explain your answers in detail.';
  const opening = '###Human: Hi!###Assistant: Hi there!  How can I help you today?\n###';
  expect(renderPrompt(getTemplate('llava_med'), TURNS.slice(0, 3))).toBe(
    `${system}${opening}Human: <image>\nQ1###Assistant: A1###Human: Q2###Assistant:`,
  );
  expect(renderPrompt(getTemplate('llava_med_v1_5'), TURNS.slice(0, 3))).toBe(
    '[INST] <image>\nQ1 [/INST] A1 </s>[INST] Q2 [/INST]',
  );
});

describe('llava-hf chat templates', () => {
  test.each([
    ['hf_llava_1_5', 'USER: <image>\nQ1 ASSISTANT: A1 USER: Q2 ASSISTANT:'],
    [
      'hf_llava_1_6_vicuna',
      "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions. USER: <image>\nQ1 ASSISTANT: A1 USER: Q2 ASSISTANT:",
    ],
    ['hf_llava_1_6_mistral', '[INST] <image>\nQ1 [/INST] A1</s> [INST] Q2 [/INST]'],
    [
      'hf_llava_1_6_34b',
      '<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\nQ1<|im_end|><|im_start|>assistant\nA1<|im_end|><|im_start|>user\nQ2<|im_end|><|im_start|>assistant\n',
    ],
    [
      'hf_llava_next_qwen',
      '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n',
    ],
  ])('%s', (name, prompt) => {
    expect(renderPrompt(getTemplate(name), TURNS.slice(0, 3))).toBe(prompt);
  });
});

describe('segments', () => {
  test.each(templateNames())('%s: joined they are the prompt, and answers with their ends are trained', name => {
    const template = getTemplate(name);
    const turns = template.plain ? TURNS.slice(0, 2) : TURNS;
    const segments = renderSegments(template, turns);
    expect(segments.map(segment => segment.text).join('')).toBe(renderPrompt(template, turns));
    const [before, after] = template.answer;
    const answers = turns.filter(turn => turn.from === 'gpt').map(turn => before + turn.value + after);
    expect(segments.filter(segment => segment.trained).map(segment => segment.text)).toEqual(answers);
  });

  test('plain keeps the mark of the human turn and trains the caption with its newline', () => {
    const turns: Message[] = [
      { from: 'human', value: 'Describe this.\n<image>' },
      { from: 'gpt', value: 'a cat' },
    ];
    expect(renderSegments(getTemplate('plain'), turns)).toEqual([
      { text: '<image>', trained: false },
      { text: 'a cat\n', trained: true },
    ]);
  });

  test('the fixed opening of v0 is not trained', () => {
    const trained = renderSegments(getTemplate('v0'), TURNS).filter(segment => segment.trained);
    expect(trained.map(segment => segment.text)).toEqual([' A1###', ' A2###']);
  });

  test('the system text can be replaced or left out', () => {
    const turn = TURNS.slice(2, 3);
    expect(renderPrompt(getTemplate('v1'), turn, { system: 'Be brief.' })).toBe('Be brief. USER: Q2 ASSISTANT:');
    expect(renderPrompt(getTemplate('v1'), turn, { system: '' })).toBe('USER: Q2 ASSISTANT:');
    expect(renderPrompt(getTemplate('mistral_instruct'), turn, { system: 'S' })).toBe(
      '[INST] <<SYS>>\nS\n<</SYS>>\n\nQ2 [/INST]',
    );
  });

  test('turns that do not alternate are refused', () => {
    expect(() => renderPrompt(getTemplate('v1'), [])).toThrow('conversation: expected at least one turn, got none');
    expect(() => renderPrompt(getTemplate('v1'), TURNS.slice(1))).toThrow('expected turn 1 from human, got gpt');
    expect(() => renderPrompt(getTemplate('v1'), [TURNS[0]!, TURNS[2]!])).toThrow(
      'expected turn 2 from gpt, got human',
    );
  });
});

test('moveImageFirst', () => {
  const move = (value: string, options = {}) => moveImageFirst([{ from: 'human', value }], options)[0]!.value;
  expect(move('What is this?\n<image>')).toBe('<image>\nWhat is this?');
  expect(move('<image>What is this? ')).toBe('<image>\nWhat is this?');
  expect(move('<image>')).toBe('<image>');
  expect(move('no image ')).toBe('no image ');
  expect(move('<image> and <image>')).toBe('<image> and <image>');
  expect(move('Q <image>', { mmTag: true })).toBe('<Image><image></Image>\nQ');
  expect(move('Q <image>', { imStartEnd: true })).toBe('<im_start><image><im_end>\nQ');
});

test.each([
  ['llava-llama-2-13b-chat-lightning-preview', 'llava_llama_2'],
  ['llava-v1.6-mistral-7b', 'mistral_instruct'],
  ['llava-v1.6-34b', 'chatml_direct'],
  ['LLaVA-v1.5-7b', 'llava_v1'],
  ['llava-v1.6-vicuna-7b', 'llava_v1'],
  ['LLaVA-Lightning-MPT-7B-preview', 'mpt'],
  ['LLaVA-7b-delta-v0', 'llava_v0'],
])('selectTemplate(%s) is %s', (model, name) => {
  expect(selectTemplate(model).name).toBe(name);
});

test('an unknown template names the nearest', () => {
  expect(() => getTemplate('vicuna_v11')).toThrow(
    'template: expected a known name (did you mean vicuna_v1?), got vicuna_v11',
  );
  expect(() => getTemplate('constructor')).toThrow('expected a known name');
});
