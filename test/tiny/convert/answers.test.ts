/**
 * @file Converted models answer as Python `transformers` does when it loads them: goldens of `scripts/make_convert_goldens.py`.
 * The digests tell that its answers are those to the very files that are written here.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type ConvertTarget, convertModel, Llava } from '../../../src/engine/index.ts';
import { files, writePlainVocabulary } from './helpers.ts';

interface Case {
  readonly chain: readonly [first: string, ...steps: string[]];
  readonly files: Readonly<Record<string, string>>;
  readonly leftovers: readonly string[];
  readonly token_ids: readonly number[];
  readonly text: string;
}

const GOLDEN = join(import.meta.dirname, '../../golden');
const golden: { question: string; image: string; cases: Record<string, Case> } = JSON.parse(
  readFileSync(join(GOLDEN, 'convert.json'), 'utf8'),
);
const root = mkdtempSync(join(tmpdir(), 'llava-answers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The last folder of a chain of conversions. */
async function convertChain(name: string, [first, ...steps]: Case['chain']): Promise<string> {
  let folder = join(root, name, first);
  if (first === 'plain') await writePlainVocabulary(folder);
  else cpSync(join(GOLDEN, 'models', first), folder, { recursive: true });
  for (const [i, step] of steps.entries()) {
    const [to, , dtype] = step.split(' ');
    const target = join(root, name, String(i));
    await convertModel(folder, target, { to: to as ConvertTarget, ...(dtype && { dtype: dtype as 'bf16' }) });
    folder = target;
  }
  return folder;
}

test.each(Object.entries(golden.cases))('%s', async (name, { chain, leftovers, text, token_ids, ...expected }) => {
  const folder = await convertChain(name, chain);
  const written = files(folder);
  for (const [file, digest] of Object.entries(expected.files))
    expect([file, written.get(file)]).toEqual([file, digest]);
  expect(leftovers).toEqual([]);
  await using model = await Llava.load(folder, { threads: 1 });
  const image = join(GOLDEN, 'models', golden.image);
  const { text: answer, usage } = await model.answer(golden.question, { image, maxTokens: 24 });
  expect(answer).toBe(text.trim());
  expect(usage.completionTokens).toBe(token_ids.length);
});
