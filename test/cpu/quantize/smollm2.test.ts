/**
 * @file What rounding costs a real language model, SmolLM2-135M-Instruct: perplexity of this project's own prose, beside that of
 * the floats. LLAVA_QUALITY_TOKENS says how many tokens are read (default 1,500: for int4 that leaves more than a percent to
 * chance, so the limits are loose).
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Llava, quantizeModel } from '../../../src/engine/index.ts';
import { compareModels } from '../../../src/eval/index.ts';
import { namedPlan, type PlanName } from '../../../src/models/index.ts';
import { temporaryFolder } from '../../tiny/weights/helpers.ts';
import { smolLm } from '../smollm2.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TEXT = ['docs/log.md', 'README.md', 'models/demo/README.md'].map(file => readFileSync(join(ROOT, file), 'utf8'));
const TOKENS = Number(process.env.LLAVA_QUALITY_TOKENS ?? 1500);

const model = smolLm();

/** Largest rise of the perplexity, percent. */
const LIMITS: readonly (readonly [PlanName, number])[] = [
  ['w8a16', 1],
  ['w8a8', 2.5],
  ['mixed4', 6],
  ['int4', 12],
];

/** Tried too where the text is asked for: each form takes more than a minute. */
const MORE_LIMITS: typeof LIMITS = [
  ['w16a16', 0.05],
  ['mixed8', 1.5],
  ['int8', 1],
];

const FORMS = process.env.LLAVA_QUALITY_TOKENS ? [...LIMITS, ...MORE_LIMITS] : LIMITS;

describe.skipIf(!model)('SmolLM2-135M', () => {
  test.each(FORMS)('%s: perplexity up by at most %d percent', async (format, limit) => {
    const target = join(temporaryFolder(), format);
    await quantizeModel(model!, target, { quantization: namedPlan(format) });
    const { perplexity, divergence, sameGuess } = await compareModels({
      load: [() => Llava.load(model!), () => Llava.load(target)],
      text: TEXT.join('\n\n'),
      maxTokens: TOKENS,
      questions: [],
    });
    const change = 100 * (perplexity.other / perplexity.original - 1);
    console.log(`${format}: perplexity ${change.toFixed(2)} %, divergence ${divergence.toFixed(4)}, same ${sameGuess}`);
    expect(change).toBeLessThan(limit);
  });
});
