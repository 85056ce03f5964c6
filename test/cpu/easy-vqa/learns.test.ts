import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { train } from '../../../src/app/training/train-command.ts';
import { Llava } from '../../../src/engine/index.ts';
import { type EvalReport, evaluate, llavaModel, openTask } from '../../../src/eval/index.ts';
import { temporaryFolder } from '../../tiny/engine/tiny-model.ts';
import { writeShapes } from './shapes.ts';

const RECIPE = join(import.meta.dirname, '../../../recipes/easy-vqa.json');
const folder = temporaryFolder();
const data = join(folder.path, 'data');
const share = ({ correct, total }: EvalReport['overall']) => correct / total;

beforeAll(() => writeShapes(data, { train: 800, test: 100 }));
afterAll(() => folder[Symbol.dispose]());

test("easy-VQA's recipe, cut short, learns simple drawings from scratch and not only their questions", async () => {
  const losses: number[] = [];
  const reporter = {
    stageStarted: () => {},
    step: (_: unknown, { loss }: { loss: number }) => losses.push(loss),
    stageEnded: () => {},
    averaged: () => {},
  };
  const model = await train({ recipe: RECIPE, data, output: join(folder.path, 'run'), scale: 0.15 }, reporter);
  expect(losses.every(Number.isFinite)).toBe(true);
  await using llava = await Llava.load(model);
  const questions = await openTask('easy-vqa', { data });
  const seeing = await evaluate(llavaModel(llava), questions);
  const blind = await evaluate(llavaModel(llava), questions, { textOnly: true });
  console.log(`with images ${JSON.stringify(seeing)}, without ${JSON.stringify(blind)}`);
  // A seventh of the recipe's steps: well above what the questions alone give away, not yet the recipe's score.
  expect(share(seeing.overall)).toBeGreaterThan(0.7);
  expect(share(seeing.overall) - share(blind.overall)).toBeGreaterThan(0.15);
  expect(share(blind.overall)).toBeLessThan(0.65);
});
