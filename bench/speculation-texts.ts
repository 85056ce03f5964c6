/** @file What speculation is measured on: texts written for this. */

const PARAGRAPH =
  'The old lighthouse on the northern cliff was built in 1874 by a company of stonemasons from the mainland. For almost ' +
  'ninety years its lamp guided fishing boats through the narrow strait between the two islands. In 1963 the lamp was ' +
  'replaced by an electric one, and the last keeper moved to the village, where he opened a small bakery.';

const CODE = `function average(values) {
  let total = 0;
  for (const value of values) {
    total += value;
  }
  if (values.length === 0) {
    return 0;
  }
  return total / values.length;
}`;

/** Questions whose answers quote them: what a small model can do. */
const QUOTING: readonly string[] = [
  `Repeat the following text word for word:\n\n${PARAGRAPH}`,
  `Repeat the following code, and nothing else:\n\n${CODE}`,
];

/** Questions whose answers are long descriptions. */
const DESCRIBING: readonly string[] = [
  'Describe in detail a photograph of a street market: the people, the stands, the buildings and the weather.',
  'Describe in detail a photograph of a kitchen in which a family is preparing dinner together.',
];

/** An exchange whose answer is given: as a large model would write it. */
interface Given {
  readonly question: string;
  readonly answer: string;
}

/** A function is changed in one word. */
const EDIT: Given = {
  question: `Rewrite this function with the variable total renamed to sum, and change nothing else:\n\n${CODE}`,
  answer: CODE.replaceAll('total', 'sum'),
};

/** A picture is described at length, as a LLaVA does. */
const DESCRIPTION: Given = {
  question: 'Describe this image in detail.',
  answer: `The image shows a busy street market on a sunny afternoon. In the foreground, a woman in a yellow dress is standing in front of a fruit stand, holding a basket in her left hand. The fruit stand is filled with a variety of fruits, including apples, oranges, and bananas, which are arranged in neat rows. Behind the stand, an older man wearing a blue apron is weighing some apples on a scale.

To the right of the fruit stand, there are several other people walking through the market. Some of them are carrying bags, while others are looking at the stands. A young boy in a red shirt is sitting on a wooden bench, eating an apple. Next to the bench, there is a brown dog lying on the ground.

In the background, there are several more stands with colourful umbrellas, and a row of old buildings with balconies. There are potted plants on the balconies, and a few people can be seen looking down at the market. On the left side of the image, a bicycle is leaning against a lamp post, and there is a white van parked on the street. The overall atmosphere of the image is lively and cheerful, with people enjoying their day at the market.`,
};

/** By kind: questions to a small model, and an exchange that is given. */
export const TEXTS: Readonly<Record<string, { readonly questions: readonly string[]; readonly given: Given }>> = {
  quote: { questions: QUOTING, given: EDIT },
  describe: { questions: DESCRIBING, given: DESCRIPTION },
};
