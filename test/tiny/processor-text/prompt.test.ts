import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodePrompt,
  encodeSegments,
  getTemplate,
  type Message,
  renderPrompt,
  renderSegments,
  tokenizerFromJson,
  tokenizerFromModel,
  trainBpe,
} from '../../../src/processor/text/index.ts';
import { type LlamaGolden, readGz, readJson } from './goldens.ts';

const bytes = readGz('sp-bpe-llama.model.gz');
const { prompts } = readJson<LlamaGolden>('sp-bpe-llama.golden.json.gz');

function messages(turns: readonly string[]): Message[] {
  return turns.map((value, i) => ({ from: i % 2 === 0 ? 'human' : 'gpt', value }));
}

describe("prompts and label masks are those of LLaVA's training code", () => {
  test.each(prompts.map((prompt, i) => [prompt.template, prompt.legacy ? 'legacy' : 'modern', i] as const))(
    '%s, %s tokenizer, conversation %i',
    (name, _kind, i) => {
      const { legacy, turns, ids, trained } = prompts[i]!;
      const tokenizer = tokenizerFromModel(bytes, { legacy });
      const segments = renderSegments(getTemplate(name), messages(turns));
      const encoded = encodeSegments(tokenizer, segments);
      expect(encoded.ids).toEqual(ids);
      expect(encoded.trained).toEqual(trained);
      expect(encodePrompt(tokenizer, segments.map(segment => segment.text).join(''))).toEqual(ids);
    },
  );
});

describe('tokenizer_image_token', () => {
  const tokenizer = tokenizerFromModel(bytes);
  const encode = (text: string): number[] => tokenizer.encode(text, { addBos: false });

  test.each([
    ['', [1]],
    ['<image>', [1, -200]],
    ['<image><image>', [1, -200, -200]],
    ['<image>\nHi', [1, -200, ...encode('\nHi')]],
    ['Hi <image> there', [1, ...encode('Hi '), -200, ...encode(' there')]],
    ['A</s><image>', [1, ...encode('A'), 2, -200]],
  ])('%j', (prompt, ids) => {
    expect(encodePrompt(tokenizer, prompt)).toEqual(ids);
  });

  test('a tokenizer without BOS gets none', () => {
    const qwen = tokenizerFromJson(readJson('json-qwen2.tokenizer.json.gz'));
    expect(encodePrompt(qwen, '<image>\nHi')).toEqual([-200, ...qwen.encode('\nHi')]);
  });
});

describe('Hugging Face encoding', () => {
  const { tokenizer } = trainBpe(['hello there', 'what is this thing', 'what is that thing there'], {
    vocabSize: 300,
    specialTokens: ['<pad>', '<image>'],
  });

  const others = ['llama', 'metaspace-first', 'llama3', 'gpt2'].map(json =>
    tokenizerFromJson(readJson(`json-${json}.tokenizer.json.gz`)),
  );

  test('the text is one, and the image token becomes the index', () => {
    const prompt = 'USER: <image>\nwhat is this ASSISTANT:';
    const ids = encodePrompt(tokenizer, prompt, { encoding: 'hf' });
    expect(ids).toEqual(tokenizer.encode(prompt).map(id => (id === tokenizer.tokenToId('<image>') ? -200 : id)));
    expect(ids).not.toEqual(encodePrompt(tokenizer, prompt));
  });

  test.each(['vicuna_v1', 'llava_v0', 'hf_llava_1_5', 'chatml_direct', 'qwen_1_5', 'llava_llama_2'])(
    '%s: segments encode as the whole prompt does',
    name => {
      const turns = messages(['<image>\nwhat is this', 'that thing', 'what is there', '1\n2']);
      const segments = renderSegments(getTemplate(name), turns);
      for (const other of others) {
        const { ids, trained } = encodeSegments(other, segments, { encoding: 'hf' });
        expect(ids).toEqual(encodePrompt(other, renderPrompt(getTemplate(name), turns), { encoding: 'hf' }));
        expect(trained).toContain(true);
      }
    },
  );
});

test('parts encode to tokens that make up the text', () => {
  const tokenizers = [
    tokenizerFromModel(bytes, { legacy: false }),
    tokenizerFromJson(readJson('json-llama3.tokenizer.json.gz')),
  ];
  const part = fc.oneof(
    fc.constantFrom('', ' ', 'the ', 'for x', '</s>', '\n', '😀'),
    fc.string({ unit: 'grapheme', maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), parts => {
      const text = parts.join('');
      fc.pre(!/[▁<]/.test(text.replaceAll('</s>', '')));
      for (const tokenizer of tokenizers) {
        const ids = tokenizer.encodeParts(parts, { addBos: false });
        expect(ids.length).toBe(parts.length);
        expect(tokenizer.decode(ids.flat())).toBe(text);
      }
    }),
  );
});
