/**
 * @file The emoji drawings as endless sources of samples. Sample i is a pure function of seed and i; concepts come in a new
 * random order each time all of them have come, so that a contrastive batch hardly ever holds one twice.
 */

import { LlavaError, Rng, rejectUnknownKeys } from '../../../core/index.ts';
import type { RgbImage } from '../../../processor/index.ts';
import type { Sample, SampleSource, Turn } from '../../sample.ts';
import type { Drawing } from './atlas.ts';
import { type ColourPolicy, paintOne, paintSeveral } from './augment.ts';
import type { Concept } from './concepts.ts';
import type { EmojiData } from './emoji-data.ts';
import { Painter } from './painter.ts';
import { ask, NUMBERS, plainCaption, randomCaption, randomLine, textOnlyQuestion } from './phrases.ts';

/**
 * What the samples are for:
 * `clip` a picture and a varied caption; `caption` a picture and its plain caption (LLaVA's stage 1); `instruct` questions
 * of all kinds about pictures (stage 2); `text` a line of text without picture, as one gpt turn after an empty human one.
 */
export const EMOJI_TASKS = ['clip', 'caption', 'instruct', 'text'] as const;

/** One of {@link EMOJI_TASKS}. */
export type EmojiTask = (typeof EMOJI_TASKS)[number];

/** Options of {@link emojiSource}. */
export interface EmojiSourceOptions {
  readonly task: EmojiTask;
  /** Default 0. */
  readonly seed?: number;
  /** Share of pictures of one thing that are little changed: easy ones, and the kind that is asked about. Default 0.5. */
  readonly calm?: number;
  /** Shares of the kinds of `instruct` samples; `one` is one to five questions about one picture, `colour` one about a colour. */
  readonly mixture?: Partial<Record<InstructKind, number>>;
}

/** Kinds of `instruct` samples. */
export const INSTRUCT_KINDS = ['one', 'colour', 'same', 'count', 'text'] as const;

/** One of {@link INSTRUCT_KINDS}. */
export type InstructKind = (typeof INSTRUCT_KINDS)[number];

const MIXTURE: Readonly<Record<InstructKind, number>> = { one: 0.72, colour: 0, same: 0.16, count: 0.08, text: 0.04 };

/** Samples of one task. Throws {@link LlavaError} for options out of range. */
export function emojiSource(data: EmojiData, options: EmojiSourceOptions): SampleSource {
  const { task, seed = 0, calm = 0.5 } = options;
  if (data.known.length < 2) throw new LlavaError(`emoji data: expected at least 2 concepts, got ${data.known.length}`);
  if (!(calm >= 0 && calm <= 1)) throw new LlavaError(`emoji data: calm: expected a share from 0 to 1, got ${calm}`);
  const maker = new SampleMaker(data, seed, calm, checkMixture(options.mixture ?? {}));
  return { name: `emoji-${task}`, length: Number.POSITIVE_INFINITY, sample: index => maker.sample(task, index) };
}

function checkMixture(mixture: Partial<Record<InstructKind, number>>): Readonly<Record<InstructKind, number>> {
  rejectUnknownKeys('emoji data: mixture', mixture, INSTRUCT_KINDS);
  const whole = { ...MIXTURE, ...mixture };
  const shares = Object.values(whole);
  if (shares.every(share => share >= 0) && shares.some(share => share > 0)) return whole;
  throw new LlavaError(`emoji data: mixture: expected shares from 0 up, not all 0, got ${JSON.stringify(whole)}`);
}

/** Holds the canvas and the current order of the concepts. */
class SampleMaker {
  readonly #data: EmojiData;
  readonly #seed: number;
  readonly #calm: number;
  readonly #mixture: Readonly<Record<InstructKind, number>>;
  readonly #painter: Painter;
  #order: { readonly epoch: number; readonly concepts: readonly Concept[] } = { epoch: -1, concepts: [] };

  constructor(data: EmojiData, seed: number, calm: number, mixture: Readonly<Record<InstructKind, number>>) {
    this.#data = data;
    this.#seed = seed;
    this.#calm = calm;
    this.#mixture = mixture;
    this.#painter = new Painter(data.imageSize);
  }

  sample(task: EmojiTask, index: number): Sample {
    const concept = this.#conceptAt(index);
    const rng = new Rng(mixSeed(this.#seed, index));
    const id = `emoji-${task}-${index}`;
    if (task === 'text')
      return { id, images: [], conversations: turns('', randomLine(concept, this.#other(concept, rng), rng)) };
    if (task === 'instruct') return { id, ...this.#instruct(concept, rng) };
    const image = this.#paint(this.#drawing(concept, rng), rng, 'free');
    const caption = task === 'clip' ? randomCaption(concept, rng) : plainCaption(concept);
    return { id, images: [image], conversations: turns('<image>', caption) };
  }

  #conceptAt(index: number): Concept {
    const { known } = this.#data;
    const epoch = Math.floor(index / known.length);
    if (epoch !== this.#order.epoch) {
      const rng = new Rng(mixSeed(this.#seed ^ 0x5eed, epoch));
      this.#order = { epoch, concepts: rng.shuffle([...known]) };
    }
    return this.#order.concepts[index % known.length]!;
  }

  #paint(drawing: Drawing, rng: Rng, policy: ColourPolicy): RgbImage {
    return paintOne(this.#painter, drawing, rng, policy, rng.uniform() < this.#calm);
  }

  #drawing(concept: Concept, rng: Rng): Drawing {
    return pickDrawing(this.#data.drawings[concept.id]!, rng);
  }

  /** Another concept, of the same group in six of ten. */
  #other(concept: Concept, rng: Rng): Concept {
    const near = rng.uniform() < 0.6;
    for (let attempt = 0; attempt < 200; attempt++) {
      const other = rng.pick(this.#data.known);
      if (other !== concept && (!near || other.group === concept.group || attempt > 100)) return other;
    }
    return this.#data.known.find(other => other !== concept)!;
  }

  #instruct(concept: Concept, rng: Rng): Omit<Sample, 'id'> {
    const kind = pickKind(this.#mixture, rng);
    if (kind === 'same') return this.#same(concept, rng);
    if (kind === 'count') return this.#count(concept, rng);
    if (kind === 'one') return this.#questions(concept, rng);
    if (kind === 'colour') return this.#colour(concept, rng);
    return { images: [], conversations: turns(...textOnlyQuestion(concept, this.#other(concept, rng), rng)) };
  }

  /**
   * One question about a picture, or one to five in any order. What is said before gives later answers away, so half of the
   * pictures are asked about once, and most often whether they show this or that: the hardest to learn.
   */
  #questions(concept: Concept, rng: Rng): Omit<Sample, 'id'> {
    const drawing = this.#drawing(concept, rng);
    const { colour } = drawing;
    const about = (subject: Concept): [string, string] => [
      ask('yesno', rng, subject.name),
      subject === concept ? 'yes' : 'no',
    ];
    const all: [string, string][] = [
      [ask('name', rng), concept.name],
      [ask('group', rng), concept.group],
      about(concept),
      about(this.#other(concept, rng)),
      ...(colour ? [[ask('colour', rng), colour] as [string, string]] : []),
    ];
    const chosen = rng.uniform() < 0.5 ? [rng.pick(all)] : rng.shuffle(all).slice(0, 1 + rng.int(all.length));
    const asksColour = chosen.some(([, answer]) => answer === colour);
    const image = this.#paint(drawing, rng, asksColour ? 'keep' : 'free');
    const conversations = chosen.flatMap(([question, answer], i) =>
      turns(i === 0 ? `<image>\n${question}` : question, answer),
    );
    return { images: [image], conversations };
  }

  /** The colour of a drawing that has one: every other drawing is black. Of a concept without such, questions as ever. */
  #colour(concept: Concept, rng: Rng): Omit<Sample, 'id'> {
    const coloured = this.#data.drawings[concept.id]!.filter(({ colour }) => colour);
    if (coloured.length === 0) return this.#questions(concept, rng);
    const drawing = pickDrawing(coloured, rng);
    const image = this.#paint(drawing, rng, 'keep');
    return { images: [image], conversations: turns(`<image>\n${ask('colour', rng)}`, drawing.colour!) };
  }

  /** Two pictures: of one concept, where possible in two styles, or of two concepts. */
  #same(concept: Concept, rng: Rng): Omit<Sample, 'id'> {
    const same = rng.uniform() < 0.5;
    const first = this.#drawing(concept, rng);
    const others = this.#data.drawings[concept.id]!.filter(drawing => drawing.style !== first.style);
    const second = same
      ? rng.pick(others.length > 0 ? others : [first])
      : this.#drawing(this.#other(concept, rng), rng);
    const paint = (drawing: Drawing): RgbImage => this.#paint(drawing, rng, 'free');
    const question = `<image>\n<image>\n${ask('same', rng)}`;
    return { images: [paint(first), paint(second)], conversations: turns(question, same ? 'yes' : 'no') };
  }

  #count(concept: Concept, rng: Rng): Omit<Sample, 'id'> {
    const count = 1 + rng.int(NUMBERS.length);
    const image = paintSeveral(this.#painter, this.#drawing(concept, rng), count, rng);
    return { images: [image], conversations: turns(`<image>\n${ask('count', rng)}`, NUMBERS[count - 1]!) };
  }
}

function turns(question: string, answer: string): Turn[] {
  return [
    { from: 'human', value: question },
    { from: 'gpt', value: answer },
  ];
}

/** Icons that are not emoji come up less often: some concepts have more of them than of emoji. */
const ICON_WEIGHT = 0.4;

function pickDrawing(drawings: readonly Drawing[], rng: Rng): Drawing {
  const weights = drawings.map(({ style }) => (style.form.kind === 'named' ? ICON_WEIGHT : 1));
  return drawings[pickIndex(weights, rng)]!;
}

function pickKind(mixture: Readonly<Record<InstructKind, number>>, rng: Rng): InstructKind {
  return INSTRUCT_KINDS[
    pickIndex(
      INSTRUCT_KINDS.map(kind => mixture[kind]),
      rng,
    )
  ]!;
}

/** An index, each as often as its weight says. */
function pickIndex(weights: readonly number[], rng: Rng): number {
  let rest = rng.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return index;
  }
  return weights.length - 1;
}

/** Spreads (seed, index) over 32 bits, so that neighbouring indices and seeds give unrelated numbers (Murmur finalizer). */
function mixSeed(seed: number, index: number): number {
  let hash = Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}
