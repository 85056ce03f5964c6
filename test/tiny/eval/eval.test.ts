import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { AbortedError, LlavaError } from '../../../src/core/index.ts';
import {
  type EvalModel,
  type EvalQuestion,
  type EvalRow,
  evaluate,
  formatReport,
  isCorrect,
  llavaModel,
  normalizeAnswer,
  openTask,
  RowFile,
  spread,
  withoutImages,
} from '../../../src/eval/index.ts';
import { solidImage } from '../../../src/processor/index.ts';

const red = solidImage(2, 2, [255, 0, 0]);
const question = (id: string, kind: string, answer: string): EvalQuestion => ({
  ...{ id, kind, answer },
  images: [red],
  question: '<image>\nwhat is it?',
});
const QUESTIONS = [question('a', 'open', 'Red.'), question('b', 'yesno', 'yes'), question('c', 'open', 'blue')];

/** Says `red` to everything and remembers what it was asked. */
function redModel() {
  const asked: { question: string; images: number }[] = [];
  const model: EvalModel = {
    answer: async (text, images) => {
      asked.push({ question: text, images: images.length });
      return 'red';
    },
  };
  return { model, asked };
}

describe('normalizeAnswer', () => {
  test.each([
    ['Yes', 'yes'],
    ['  a  Red\n circle ', 'a red circle'],
    ['no.', 'no'],
    ['No . ', 'no'],
    ['1.5', '1.5'],
    ['...', ''],
    ['', ''],
  ])('%j → %j', (text, normal) => {
    expect(normalizeAnswer(text)).toBe(normal);
  });

  test('changes nothing the second time, and ignores case and outer space', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const once = normalizeAnswer(text);
        expect(normalizeAnswer(once)).toBe(once);
        expect(isCorrect(`  ${text.toUpperCase()} `, text.toUpperCase())).toBe(true);
      }),
    );
  });

  test('words must be the same', () => {
    expect(isCorrect('a red circle', 'red circle')).toBe(false);
    expect(isCorrect('RED circle.', 'red circle')).toBe(true);
  });
});

describe('evaluate', () => {
  test('counts by kind', async () => {
    const { model, asked } = redModel();
    expect(await evaluate(model, QUESTIONS)).toEqual({
      perKind: { open: { correct: 1, total: 2 }, yesno: { correct: 0, total: 1 } },
      overall: { correct: 1, total: 3 },
    });
    expect(asked).toEqual(QUESTIONS.map(() => ({ question: '<image>\nwhat is it?', images: 1 })));
  });

  test('takes questions as they are made', async () => {
    async function* made() {
      yield* QUESTIONS;
    }
    expect((await evaluate(redModel().model, made())).overall).toEqual({ correct: 1, total: 3 });
  });

  test('nothing asked, nothing counted', async () => {
    const report = await evaluate(redModel().model, []);
    expect(report).toEqual({ perKind: {}, overall: { correct: 0, total: 0 } });
    expect(formatReport(report)).toBe('overall  0 / 0  –');
  });

  test('without images the marks go too', async () => {
    const { model, asked } = redModel();
    await evaluate(model, QUESTIONS, { textOnly: true });
    expect(asked[0]).toEqual({ question: 'what is it?', images: 0 });
    const two = { ...question('d', 'same', 'yes'), question: '<image>\n<image>\nthe same?', images: [red, red] };
    expect(withoutImages(two)).toMatchObject({ question: 'the same?', images: [] });
  });

  test('tells each row, and asks no known question again', async () => {
    const { model, asked } = redModel();
    const known: EvalRow = { id: 'b', kind: 'yesno', question: '', expected: 'yes', answer: 'yes', correct: true };
    const rows: EvalRow[] = [];
    const report = await evaluate(model, QUESTIONS, { known: new Map([['b', known]]), onRow: row => rows.push(row) });
    expect(report.overall).toEqual({ correct: 2, total: 3 });
    expect(asked).toHaveLength(2);
    expect(rows[0]).toEqual({
      ...{ id: 'a', kind: 'open', question: '<image>\nwhat is it?' },
      ...{ expected: 'Red.', answer: 'red', correct: true },
    });
    expect(rows[1]).toBe(known);
  });

  test('stops when it is told to', async () => {
    const controller = new AbortController();
    const { model, asked } = redModel();
    const run = evaluate(model, QUESTIONS, { signal: controller.signal, onRow: () => controller.abort() });
    await expect(run).rejects.toThrow(AbortedError);
    expect(asked).toHaveLength(1);
  });

  test('asks a LLaVA greedily, for a short answer', async () => {
    const calls: unknown[] = [];
    const llava = {
      ask: async (...call: unknown[]) => {
        calls.push(call);
        return 'red';
      },
    };
    const { signal } = new AbortController();
    await evaluate(llavaModel(llava, 5), QUESTIONS.slice(0, 1), { signal });
    expect(calls).toEqual([['<image>\nwhat is it?', { images: [red], maxTokens: 5, signal }]]);
  });
});

test('formatReport makes columns', () => {
  const report = {
    perKind: { open: { correct: 1, total: 2 }, yesno: { correct: 990, total: 1000 } },
    overall: { correct: 991, total: 1002 },
  };
  expect(formatReport(report).split('\n')).toEqual([
    'open          1 / 2  50.0 %',
    'yesno    990 / 1000  99.0 %',
    'overall  991 / 1002  98.9 %',
  ]);
});

test('spread takes questions from the whole test', () => {
  const questions = Array.from({ length: 10 }, (_, i) => question(`${i}`, 'open', 'x'));
  expect(spread(questions, 4).map(({ id }) => id)).toEqual(['0', '2', '5', '7']);
  expect(spread(questions, 10)).toBe(questions);
  expect(spread(questions, 99)).toBe(questions);
});

test('openTask names the nearest task, and asks for data', async () => {
  expect(() => openTask('easyvqa')).toThrow(/expected one of easy-vqa, emoji \(did you mean easy-vqa\?\), got easyvqa/);
  await expect(openTask('easy-vqa')).rejects.toThrow('task easy-vqa: expected the path of its data (--data), got none');
});

describe('RowFile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'llava-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const row = (id: string): EvalRow => ({
    ...{ id, kind: 'open', question: 'what?', expected: 'red', answer: 'red', correct: true },
  });
  const lines = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1);

  test('keeps rows for the next run', () => {
    const path = join(folder, 'rows.jsonl');
    {
      using file = new RowFile(path, 'run 1');
      expect(file.known.size).toBe(0);
      file.add(row('a'));
      file.add(row('b'));
    }
    using again = new RowFile(path, 'run 1');
    expect([...again.known.values()]).toEqual([row('a'), row('b')]);
    again.add(row('b'));
    again.add(row('c'));
    expect(lines(path).map(line => (JSON.parse(line) as EvalRow).id)).toEqual(['a', 'b', 'c']);
  });

  test('a row that a kill cut short is asked again', () => {
    const path = join(folder, 'cut.jsonl');
    {
      using file = new RowFile(path, 'run');
      file.add(row('ä'));
      file.add(row('b'));
    }
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length - 5));
    using file = new RowFile(path, 'run');
    expect([...file.known.keys()]).toEqual(['ä']);
    file.add(row('b'));
    expect(readFileSync(path)).toEqual(whole);
  });

  test('refuses rows of another run, and other files, and leaves them as they are', () => {
    const path = join(folder, 'other.jsonl');
    {
      using file = new RowFile(path, 'model 1');
      file.add(row('a'));
    }
    expect(() => new RowFile(path, 'model 2')).toThrow(/expected rows of model 2, got rows of model 1/);
    expect(lines(path)).toHaveLength(1);
    for (const content of ['hello\n', '{}\n', '[1]\n', 'null\n']) {
      writeFileSync(path, content);
      expect(() => new RowFile(path, 'run')).toThrow(/other\.jsonl:1: expected a row of an evaluation/);
      expect(readFileSync(path, 'utf8')).toBe(content);
    }
  });

  test('says when it cannot write', () => {
    const path = join(folder, 'none/rows.jsonl');
    expect(() => new RowFile(path, 'run')).toThrow(LlavaError);
    expect(existsSync(path)).toBe(false);
  });
});
