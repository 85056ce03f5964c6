/** @file Answers of a tiny random model: events, options, stops, limits, cancelling, conversations. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AbortedError, LlavaError } from '../../../src/core/index.ts';
import { type AskOptions, collectAnswer, type GenerationEvent, Llava } from '../../../src/engine/index.ts';
import { temporaryFolder, tinyImage, tinyTokenizer, writeTinyModel } from './tiny-model.ts';

const folder = temporaryFolder();
let model: Llava;

beforeAll(async () => {
  await writeTinyModel(folder.path);
  model = await Llava.load(folder.path, { threads: 1 });
});

afterAll(async () => {
  await model[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const QUESTION = 'what is in this picture';
const image = tinyImage(1);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe('an answer', () => {
  test('comes the same as a string, as pieces and as events', async () => {
    const options = { image, maxTokens: 30 };
    const text = await model.ask(QUESTION, options);
    expect(text.length).toBeGreaterThan(10);
    expect((await all(model.stream(QUESTION, options))).join('')).toBe(text);
    const events = await all(model.generate([{ role: 'user', content: QUESTION, images: [image] }], { maxTokens: 30 }));
    const deltas = events.flatMap(event => (event.type === 'text-delta' ? [event.text] : []));
    expect(deltas.join('')).toBe(text);
    expect(deltas.every(delta => delta !== '')).toBe(true);
    const finish = events.at(-1) as Extract<GenerationEvent, { type: 'finish' }>;
    expect(finish).toMatchObject({ type: 'finish', reason: 'length', usage: { imageTokens: 9, completionTokens: 30 } });
    expect(Object.values(finish.timings).every(ms => ms >= 0)).toBe(true);
    expect(text).toBe(text.trim());
  });

  test('depends on the image', async () => {
    const [one, two, none] = [{ image }, { image: tinyImage(2) }, {}].map(o => model.ask(QUESTION, o));
    expect(new Set([await one, await two, await none]).size).toBe(3);
  });

  test('takes several images in order', async () => {
    const other = tinyImage(2);
    const answer = await model.answer(QUESTION, { images: [image, other], maxTokens: 20 });
    expect(answer.usage.imageTokens).toBe(18);
    const swapped = await model.ask(QUESTION, { images: [other, image], maxTokens: 20 });
    expect(swapped).not.toBe(answer.text);
    const marked = await model.ask(`<image>\n<image>\n${QUESTION}`, { image, images: [other], maxTokens: 20 });
    expect(marked).toBe(answer.text);
  });

  test('many at the same time are those one after another', async () => {
    const questions = ['a cat', 'a dog', 'red ball', 'on the mat'];
    const alone = [];
    for (const question of questions) alone.push(await model.ask(question, { image, maxTokens: 12 }));
    expect(await Promise.all(questions.map(q => model.ask(q, { image, maxTokens: 12 })))).toEqual(alone);
  });

  test('sampled: the seed decides', async () => {
    const options: AskOptions = { image, temperature: 1.5, topK: 50, maxTokens: 20 };
    const [a, b, c] = [7, 7, 8].map(seed => model.ask(QUESTION, { ...options, seed }));
    expect(await a).toBe(await b);
    expect(await a).not.toBe(await c);
  });

  test('is another one with a repetition penalty', async () => {
    const options = { image, maxTokens: 40 };
    expect(await model.ask(QUESTION, { ...options, repetitionPenalty: 2 })).not.toBe(
      await model.ask(QUESTION, options),
    );
  });
});

describe('stop texts', () => {
  test('end the answer and never show, wherever they lie between tokens', async () => {
    const full = await model.ask(QUESTION, { image, maxTokens: 30 });
    for (let start = 1; start + 3 < full.length; start += 4) {
      const stop = full.slice(start, start + 3);
      if (stop.trim() !== stop) continue;
      const answer = await model.answer(QUESTION, { image, maxTokens: 30, stop: ['never said', stop] });
      expect(answer.text).toBe(full.slice(0, full.indexOf(stop)).trim());
      expect(answer.finishReason).toBe('stop');
    }
  });

  test('what only looked like one is shown in the end', async () => {
    const full = await model.ask(QUESTION, { image, maxTokens: 10 });
    const stop = `${full.slice(-2)} and more`;
    expect(await model.ask(QUESTION, { image, maxTokens: 10, stop: [stop] })).toBe(full);
  });
});

describe('length', () => {
  test('maxTokens', async () => {
    for (const maxTokens of [1, 2, 5]) {
      const { usage, finishReason } = await model.answer(QUESTION, { maxTokens });
      expect([usage.completionTokens, finishReason]).toEqual([maxTokens, 'length']);
    }
  });

  test('the context ends an answer, which uses it up', async () => {
    const words = Array(220).fill('cat').join(' ');
    const { usage, finishReason } = await model.answer(words, { maxTokens: 1000 });
    expect(finishReason).toBe('length');
    expect(usage.promptTokens + usage.completionTokens).toBe(model.contextLength + 1);
  });

  test('a prompt longer than the context is refused with all the numbers', async () => {
    const words = Array(700).fill('cat').join(' ');
    await expect(model.ask(words, { images: [image, image] })).rejects.toThrow(
      /^prompt: expected at most 640 tokens, the model's context, got \d{3,4} \(18 of them for images\)$/,
    );
  });
});

describe('cancelling', () => {
  test('before, during and between tokens throws AbortedError', async () => {
    await expect(model.ask(QUESTION, { image, signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    const controller = new AbortController();
    const pieces = model.stream(QUESTION, { image, maxTokens: 500, signal: controller.signal });
    await pieces.next();
    controller.abort();
    await expect(all(pieces)).rejects.toThrow(AbortedError);
    const timed = model.ask(QUESTION, { image, maxTokens: 500, signal: AbortSignal.timeout(20) });
    await expect(timed).rejects.toThrow(AbortedError);
  });

  test('a consumer that leaves ends the answer', async () => {
    for await (const text of model.stream(QUESTION, { image, maxTokens: 500 })) {
      expect(text).not.toBe('');
      break;
    }
  });
});

describe('a conversation', () => {
  test('gives the answers of the whole history, reading only what is new', async () => {
    using chat = model.chat();
    const first = await chat.answer(QUESTION, { image, maxTokens: 12 });
    const second = await chat.answer('is the ball red', { maxTokens: 12 });
    const third = await chat.answer('and this', { image: tinyImage(3), maxTokens: 12 });
    expect(first.usage.cachedTokens).toBe(0);
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens);
    expect(third.usage.cachedTokens).toBeGreaterThanOrEqual(second.usage.promptTokens);
    expect(third.usage.imageTokens).toBe(18);
    const messages = [
      { role: 'user', content: QUESTION, images: [image] },
      { role: 'assistant', content: first.text },
      { role: 'user', content: 'is the ball red' },
      { role: 'assistant', content: second.text },
      { role: 'user', content: 'and this', images: [tinyImage(3)] },
    ] as const;
    const whole = await collectAnswer(model.generate(messages, { maxTokens: 12 }));
    expect(third.text).toBe(whole.text);
    expect(chat.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'user',
      'assistant',
      'user',
      'assistant',
    ]);
  });

  test('clear forgets', async () => {
    using chat = model.chat();
    const first = await chat.ask(QUESTION, { image, maxTokens: 8 });
    await chat.ask('two', { maxTokens: 8 });
    chat.clear();
    expect(chat.messages).toEqual([]);
    expect(await chat.ask(QUESTION, { image, maxTokens: 8 })).toBe(first);
  });

  test('keeps the beginning of an answer that was cut off, and drops a question without any', async () => {
    using chat = model.chat();
    const controller = new AbortController();
    let said = '';
    const answer = async () => {
      for await (const text of chat.stream(QUESTION, { image, maxTokens: 400, signal: controller.signal })) {
        said += text;
        if (said.length > 5) controller.abort();
      }
    };
    await expect(answer()).rejects.toThrow(AbortedError);
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: said });
    await expect(chat.ask('two', { image: 'no-such-file.png' })).rejects.toThrow(/no-such-file\.png/);
    expect(chat.messages).toHaveLength(2);
    expect(await chat.ask('two', { maxTokens: 5 })).not.toBe('');
  });

  test('answers one question at a time', async () => {
    using chat = model.chat();
    const first = chat.ask(QUESTION, { image, maxTokens: 10 });
    await expect(chat.ask('two')).rejects.toThrow(/expected one question at a time/);
    await first;
  });

  test('a system text of its own', async () => {
    using chat = model.chat({ system: 'the cat sat on the mat' });
    expect(await chat.ask(QUESTION, { maxTokens: 10 })).not.toBe(await model.ask(QUESTION, { maxTokens: 10 }));
  });
});

test('complete goes on with the text as it is', async () => {
  const prompt = 'the cat sat';
  const whole = await collectAnswer(model.complete(prompt, { maxTokens: 12 }));
  expect(whole.usage.promptTokens).toBe(tinyTokenizer.encode(prompt).length);
  const withImage = await collectAnswer(model.complete(prompt, { image, maxTokens: 12 }));
  expect(withImage.usage.imageTokens).toBe(9);
});

test.each<[string, AskOptions, RegExp]>([
  ['<image> <image> what', { image }, /expected as many <image> marks as images or none, got 2 marks and 1 images/],
  ['<image> what', {}, /got 1 marks and 0 images/],
  ['what', { maxTokens: 0 }, /option maxTokens: expected an integer of at least 1, got 0/],
  ['what', { temperature: -1 }, /option temperature: expected a number of at least 0, got -1/],
  ['what', { stop: [''] }, /option stop: expected a list of texts/],
  ['what', { maxTokenz: 3 } as AskOptions, /maxTokenz \(did you mean maxTokens\?\)/],
  ['what', { image: 'missing.jpg' }, /image missing\.jpg: expected a readable file, got no such file/],
  ['what', { image: new URL('http://example.com/a.png') }, /^image http:.* expected .*file/],
  ['what', { image: new Uint8Array(3) }, /expected a JPEG, PNG, WebP or GIF image/],
])('%s %j is refused', async (question, options, message) => {
  await expect(model.ask(question, options)).rejects.toThrow(message);
  await expect(model.ask(question, options)).rejects.toThrow(LlavaError);
});
