/** @file The wording of questions, answers and captions. Answers are short and of a fixed form, so that they can be scored. */

import type { Rng } from '../../../core/index.ts';
import type { Concept } from './concepts.ts';
import type { Group } from './vocabulary.ts';

/** Kinds of questions about pictures. */
export const QUESTION_KINDS = ['name', 'group', 'colour', 'yesno', 'same', 'count'] as const;

/** One of {@link QUESTION_KINDS}. */
export type QuestionKind = (typeof QUESTION_KINDS)[number];

/** Ways to ask; `{}` stands for the thing asked about, with its article. */
export const QUESTIONS: { readonly [K in QuestionKind]: readonly string[] } = {
  name: ['What is this?', 'What does the picture show?', 'What is in this image?', 'What do you see?', 'Name this.'],
  group: ['What kind of thing is this?', 'Which group does this belong to?', 'What category is this?'],
  colour: ['What is the main colour?', 'What colour is this?', 'What color is it?'],
  yesno: ['Is this {}?', 'Does the picture show {}?', 'Is {} in this image?'],
  same: [
    'Do both pictures show the same thing?',
    'Are these two pictures of the same thing?',
    'Is it the same thing twice?',
  ],
  count: ['How many things are there?', 'How many are there?', 'Count the things in this image.'],
};

/** Answers to "how many", from one on. */
export const NUMBERS = ['one', 'two', 'three', 'four', 'five', 'six'] as const;

/** A question of `kind` in one of its wordings; `subject` is the name that a yes/no question asks about. */
export function ask(kind: QuestionKind, rng: Rng, subject?: string): string {
  const wording = rng.pick(QUESTIONS[kind]);
  if (!subject) return wording;
  const inNumber = isPlural(subject) ? wording.replace('Is this', 'Are these').replace(/^Is /, 'Are ') : wording;
  return inNumber.replace('{}', withArticle(subject));
}

/** What things of a group are, after "is". */
const IS_OF_GROUP: { readonly [G in Group]: string } = {
  face: 'a face',
  body: 'a part of the body',
  person: 'a person',
  animal: 'an animal',
  plant: 'a plant',
  food: 'food',
  place: 'a place',
  vehicle: 'a vehicle',
  sky: 'in the sky',
  sport: 'for sport and games',
  clothing: 'clothing',
  music: 'for music',
  object: 'an object',
  symbol: 'a symbol',
};

const PLURALS = new Set(
  `blueberries cherries pancakes peanuts beans grapes chopsticks glasses sunglasses goggles jeans gloves socks briefs
  shorts headphones skis eyes lungs hands leaves masks prints footprints houses bags shoes notes knobs books tabs dividers
  chains swords scissors wrestlers dolls beads clothes fries hearts points drops maracas bubbles noodles fireworks bars
  springs sparkles medals fingers biceps up down together tickets`.split(/\s+/),
);
/** Last words that take no article. */
const UNCOUNTED = new Set(
  `bacon cheese money paper popcorn butter salt garlic broccoli bread spaghetti sushi sake mate fondue wood coral soap rain snow fog
  wind lightning fire confetti dna toast meat food liquid water tea badminton lacrosse
  bowling hockey racing camping customs luggage wifi infinity poo zzz om yarn thread oden dango falafel registered
  copyright prohibited radioactive biohazard multiply divide entry smoking littering bicycles pedestrians phones eighteen
  aries taurus gemini cancer leo virgo libra scorpio sagittarius capricorn aquarius pisces ophiuchus warning mode polish
  control claim crossing pong`.split(/\s+/),
);
/** Whole names that take no article although their last word may. */
const BARE = new Set(['santa claus', 'ice cream', 'soft ice cream', 'shaved ice']);
const UNIQUE = new Set(['sun', 'milky way', 'earth', 'statue of liberty', 'tokyo tower', 'kaaba']);

/** The word that says what it is: `drop of water` → `drop`, `red apple` → `apple`. */
function headWord(name: string): string {
  const head = /^(.+?) (?:of|with|on|in|and|behind|for|without|from) /.exec(`${name} `)?.[1] ?? name;
  return head.split(' ').at(-1)!;
}

function isPlural(name: string): boolean {
  return PLURALS.has(headWord(name));
}

/** `red apple` → `a red apple`, `eyes` → `eyes`, `sun` → `the sun`. */
export function withArticle(name: string): string {
  if (UNIQUE.has(name)) return `the ${name}`;
  if (BARE.has(name) || isPlural(name) || UNCOUNTED.has(headWord(name))) return name;
  return /^([aeio]|un[^i]|u[mpr]|hour|suv|x-ray)/.test(name) ? `an ${name}` : `a ${name}`;
}

/** A caption for contrastive training: mostly the name, at times with the group or other words for it. */
export function randomCaption({ name, group, keywords }: Concept, rng: Rng): string {
  const kind = rng.uniform();
  if (kind < 0.5) return name;
  if (kind < 0.7) return `a drawing of ${withArticle(name)}`;
  if (kind < 0.85 || keywords.length === 0) return `${name}, ${group}`;
  return `${name}, ${rng.pick(keywords)}`;
}

/** The caption of stage 1. */
export function plainCaption({ name }: Concept): string {
  return `a drawing of ${withArticle(name)}`;
}

/** A line of text for training the language model alone: what things are, and how questions are answered. */
export function randomLine(concept: Concept, other: Concept, rng: Rng): string {
  const { name, group, keywords } = concept;
  const lines = [
    () => `${withArticle(name)} ${isPlural(name) ? 'are' : 'is'} ${IS_OF_GROUP[group]}.`,
    () => plainCaption(concept),
    () => `${[name, group, ...rng.shuffle([...keywords]).slice(0, 3)].join(', ')}.`,
    () => `${name} and ${other.name}: ${group}, ${other.group}.`,
    () => `${ask('name', rng)} ${name}`,
    () => `${ask('name', rng)} ${name} ${ask('group', rng)} ${group}`,
    () => `${ask('yesno', rng, name)} ${rng.pick(['yes', 'no'])}`,
    () => textOnlyQuestion(concept, other, rng).join(' '),
  ];
  return rng.pick(lines)();
}

/** A question that needs no picture, and its answer. */
export function textOnlyQuestion(concept: Concept, other: Concept, rng: Rng): readonly [string, string] {
  const { name } = concept;
  if (rng.uniform() < 0.5) return [`What kind of thing is ${withArticle(name)}?`, concept.group];
  const group = rng.uniform() < 0.5 ? concept.group : other.group;
  const question = `${isPlural(name) ? 'Are' : 'Is'} ${withArticle(name)} ${IS_OF_GROUP[group]}?`;
  return [question, group === concept.group ? 'yes' : 'no'];
}
