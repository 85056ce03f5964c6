/** @file Questions that a copy of a model is asked beside the original: a file's, or a few of its own. */

import { dirname, resolve } from 'node:path';
import { LlavaError } from '../core/index.ts';
import { readJsonRows } from '../data/index.ts';
import type { ComparedQuestion } from './compare.ts';

/**
 * The questions of a file of rows, JSON Lines or a list: `question`, and `image`, a path from the file's folder, where there is
 * one. Rows that `llava eval --output` writes are such, without their images.
 * @throws LlavaError that names file and row
 */
export async function readQuestions(file: string): Promise<ComparedQuestion[]> {
  const questions: ComparedQuestion[] = [];
  for await (const { value } of readJsonRows(file)) {
    const { question, image } = (value ?? {}) as { question?: unknown; image?: unknown };
    const where = `${file}: row ${questions.length + 1}`;
    if (typeof question !== 'string') throw new LlavaError(`${where}: expected a question, got ${typeof question}`);
    if (image !== undefined && typeof image !== 'string') {
      throw new LlavaError(`${where}: expected image to be a path, got ${typeof image}`);
    }
    const images = image === undefined ? [] : [resolve(dirname(file), image)];
    questions.push({ question: images.length > 0 ? question : question.replaceAll(/<image>\n?/g, ''), images });
  }
  if (questions.length === 0) throw new LlavaError(`${file}: expected rows with a question, got none`);
  return questions;
}

/** Read to compare, where the user gives no text: other prose than the calibration's. */
export const COMPARED_TEXT = `My grandmother kept bees. There were nine hives at the end of the orchard, painted in three colours so that the bees would find
their own, and from May to September nobody was allowed to mow the grass in front of them. She never wore gloves. "They know
me," she used to say, and I believed her until the day when they stung her eleven times.

Light travels about 300,000 kilometres in one second. From the Sun to the Earth it needs a little more than eight minutes, from
the nearest star more than four years. When we look at distant galaxies we therefore see them as they were millions of years
ago; a telescope is also a machine for looking into the past.

Question: What colour is the car in front of the house?
Answer: The car is blue. It stands next to a white van, and a dog is sleeping in its shade.

The committee met on Tuesday to discuss the new library. Some members wanted it to be built in the centre of the town, where
most people would reach it on foot; others preferred the old railway station, which has been empty since 1998 and would cost
much less. After three hours they agreed to ask the citizens. The result will be published in the first week of October.

How do I remove a coffee stain from a wool carpet? First soak up as much of the liquid as possible with a clean cloth. Do not
rub. Mix a spoonful of vinegar with a glass of cold water, dab the stain with it from the outside inwards, and dry it with a
towel. If a brown edge remains, repeat the procedure the next day.

for name in sorted(os.listdir(folder)):
    if name.endswith(".txt"):
        print(name, os.path.getsize(os.path.join(folder, name)))

In the second half of the match the visitors played better. They scored in the 57th minute, after a long pass from the left,
and again shortly before the end. The coach was pleased: "We have learned to be patient," he told the reporters, "and that is
what decides such games." His team is now third in the table, two points behind the leader.
`;

const QUESTIONS = [
  'What is the capital of France?',
  'Write one sentence about the sea.',
  'What is 17 plus 25?',
  'Name three animals that can fly.',
  'Translate to German: good morning',
  'Why is the sky blue?',
  'What do bees make?',
  'Which is heavier, a kilogram of iron or a kilogram of feathers?',
];

const PICTURE_QUESTIONS = ['What is in this picture?', 'What colours are there?', 'How many circles are there?'];

/** The questions of which a model is asked where the user gives none; about `pictures` if it can see. */
export function comparedQuestions(pictures: ComparedQuestion['images']): ComparedQuestion[] {
  const seen = pictures.flatMap(picture => PICTURE_QUESTIONS.map(question => ({ question, images: [picture] })));
  return [...QUESTIONS.map(question => ({ question, images: [] })), ...seen];
}
