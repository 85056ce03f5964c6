/**
 * @file The fixed test: questions about OpenMoji drawings, a style that is never trained on, shown as they are on white.
 * Colours are those of the OpenMoji drawing itself, asked only where two of three training styles agree with it. "Same or
 * different" sets an OpenMoji drawing beside a Twemoji one.
 */

import { Rng } from '../../../core/index.ts';
import type { RgbImage } from '../../../processor/index.ts';
import { gridPlacements } from './augment.ts';
import { type Colour, mainColour } from './colour.ts';
import { type Concept, type ConceptSelection, selectConcepts } from './concepts.ts';
import { IMAGE_SIZE, openStyles } from './emoji-data.ts';
import type { FetchOptions } from './fetch.ts';
import type { IconSet } from './icons.ts';
import { TEST_STYLE, TRAINING_STYLES } from './packages.ts';
import { Painter, PLAIN_LOOK } from './painter.ts';
import { ask, NUMBERS, type QuestionKind } from './phrases.ts';
import { premultiply, renderSvg, renderTrimmed } from './raster.ts';

/** One question of the test. */
export interface TestQuestion {
  readonly id: string;
  /** What is asked; `unseen-…` about concepts never seen in any style. */
  readonly kind: QuestionKind | `unseen-${QuestionKind}`;
  /** Name of the concept shown (the first one, where two are). */
  readonly concept: string;
  readonly images: readonly RgbImage[];
  /** With its `<image>` marks. */
  readonly question: string;
  readonly answer: string;
}

/** Options of {@link emojiTest}. */
export interface EmojiTestOptions extends FetchOptions, ConceptSelection {
  /** Side of the images, pixels. Default {@link IMAGE_SIZE}. */
  readonly imageSize?: number;
}

/** Questions of each kind, at most, on known concepts; held-out ones come on top. */
const LIMITS: Readonly<Record<Exclude<QuestionKind, 'colour'>, number>> = {
  name: 1300,
  group: 400,
  yesno: 400,
  same: 300,
  count: 240,
};
/** Drawings of a concept that are asked for by name: its first emoji. */
const NAMED_DRAWINGS = 2;
/** Questions with the same colour for an answer, at most: half of all emoji are yellow. */
const SAME_COLOUR = 40;
/** Side at which colours are counted, pixels. */
const COLOUR_SIDE = 32;
const SEED = 2024;

/** The whole test, always the same: about 2,800 questions in a few seconds. */
export async function emojiTest(options: EmojiTestOptions = {}): Promise<TestQuestion[]> {
  const seen = ['twemoji', 'noto', 'fluent-emoji-flat'].map(
    name => TRAINING_STYLES.find(style => style.name === name)!,
  );
  const { concepts, styles } = await openStyles([TEST_STYLE, ...TRAINING_STYLES], options);
  const training = TRAINING_STYLES.map(style => styles.get(style)!);
  const icons = seen.map(style => styles.get(style)!);
  return new TestMaker(
    selectConcepts(concepts, options, training),
    styles.get(TEST_STYLE)!,
    icons,
    options.imageSize ?? IMAGE_SIZE,
  ).questions();
}

/** A question before its pictures are made. */
interface Draft {
  readonly kind: QuestionKind;
  readonly concept: Concept;
  readonly question: string;
  readonly answer: string;
  readonly images: () => Promise<RgbImage[]>;
}

class TestMaker {
  readonly #rng = new Rng(SEED);
  readonly #concepts: readonly Concept[];
  readonly #known: readonly Concept[];
  readonly #test: IconSet;
  readonly #seen: readonly IconSet[];
  readonly #side: number;
  readonly #painter: Painter;

  constructor(concepts: readonly Concept[], test: IconSet, seen: readonly IconSet[], side: number) {
    this.#concepts = concepts.filter(({ members: [first] }) => test.has(first!));
    this.#known = this.#concepts.filter(concept => !concept.heldOut);
    [this.#test, this.#seen, this.#side] = [test, seen, side];
    this.#painter = new Painter(side);
  }

  async questions(): Promise<TestQuestion[]> {
    const drafts = [
      ...this.#names(),
      ...this.#groups(),
      ...(await this.#colours()),
      ...this.#yesNo(),
      ...this.#same(),
      ...this.#counts(),
    ];
    const made: TestQuestion[] = [];
    for (const { images, concept, kind, question, answer } of drafts) {
      const asked = concept.heldOut ? (`unseen-${kind}` as const) : kind;
      const id = `openmoji-${asked}-${made.length}`;
      made.push({ id, kind: asked, concept: concept.name, question, answer, images: await images() });
    }
    return made;
  }

  #names(): Draft[] {
    const shown = this.#known.flatMap(concept =>
      concept.members
        .filter(code => this.#test.has(code))
        .slice(0, NAMED_DRAWINGS)
        .map(code => ({ concept, code })),
    );
    return this.#take(shown, LIMITS.name).map(({ concept, code }) => ({
      ...{ kind: 'name', concept, answer: concept.name },
      ...{ question: this.#ask('name'), images: () => this.#show(code) },
    }));
  }

  #groups(): Draft[] {
    return [...this.#take(this.#known, LIMITS.group), ...this.#heldOut()].map(concept => ({
      ...{ kind: 'group', concept, answer: concept.group },
      ...{ question: this.#ask('group'), images: () => this.#show(concept.members[0]!) },
    }));
  }

  async #colours(): Promise<Draft[]> {
    const drafts: Draft[] = [];
    const counts = new Map<string, number>();
    for (const concept of [...this.#take(this.#known, this.#known.length), ...this.#heldOut()]) {
      const answer = await this.#agreedColour(concept);
      const key = `${answer} ${concept.heldOut}`;
      if (!answer || counts.get(key) === SAME_COLOUR) continue;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      const images = () => this.#show(concept.members[0]!);
      drafts.push({ kind: 'colour', concept, answer, question: this.#ask('colour'), images });
    }
    return drafts;
  }

  /** The main colour of the test drawing, if most of the training drawings have it too. */
  async #agreedColour({ members: [code] }: Concept): Promise<Colour | undefined> {
    const colourIn = async (icons: IconSet) => {
      const svg = icons.get(code!)?.[0];
      return svg ? mainColour((await renderSvg(svg, COLOUR_SIDE)).data) : undefined;
    };
    const own = await colourIn(this.#test);
    if (!own) return undefined;
    const others = await Promise.all(this.#seen.filter(icons => icons.has(code!)).map(colourIn));
    return others.filter(colour => colour === own).length * 2 > others.length ? own : undefined;
  }

  #yesNo(): Draft[] {
    return this.#take(this.#known, LIMITS.yesno).map((concept, i) => {
      const subject = i % 2 === 0 ? concept : this.#otherThan(concept, i % 4 === 1);
      return {
        ...{ kind: 'yesno', concept, answer: subject === concept ? 'yes' : 'no' },
        ...{ question: this.#ask('yesno', subject.name), images: () => this.#show(concept.members[0]!) },
      };
    });
  }

  #same(): Draft[] {
    const icons = this.#seen[0]!;
    const drawn = this.#known.filter(({ members: [code] }) => icons.has(code!));
    return this.#take(drawn, LIMITS.same).map((concept, i) => {
      const second = i % 2 === 0 ? concept : this.#otherThan(concept, i % 4 === 1, drawn);
      const images = async () => [
        ...(await this.#show(concept.members[0]!)),
        ...(await this.#show(second.members[0]!, icons)),
      ];
      const question = `<image>\n${this.#ask('same')}`;
      return { kind: 'same', concept, answer: second === concept ? 'yes' : 'no', question, images };
    });
  }

  #counts(): Draft[] {
    return this.#take(this.#known, LIMITS.count).map((concept, i) => {
      const count = 1 + (i % NUMBERS.length);
      const placements = gridPlacements(this.#side, count, this.#rng);
      const images = async () => {
        const pixels = premultiply((await renderTrimmed(this.#test.get(concept.members[0]!)![0]!, this.#side)).data);
        this.#painter.start(() => WHITE);
        for (const placement of placements) this.#painter.add(pixels, this.#side, placement, PLAIN_LOOK);
        return [this.#painter.finish()];
      };
      return { kind: 'count', concept, answer: NUMBERS[count - 1]!, question: this.#ask('count'), images };
    });
  }

  #ask(kind: QuestionKind, subject?: string): string {
    return `<image>\n${ask(kind, this.#rng, subject)}`;
  }

  #take<T>(list: readonly T[], count: number): T[] {
    return this.#rng.shuffle([...list]).slice(0, count);
  }

  #heldOut(): Concept[] {
    return this.#concepts.filter(concept => concept.heldOut);
  }

  /** Another known concept, of the same group if asked and possible. */
  #otherThan(concept: Concept, sameGroup: boolean, among = this.#known): Concept {
    const others = among.filter(other => other !== concept);
    const near = sameGroup ? others.filter(other => other.group === concept.group) : [];
    return this.#rng.pick(near.length > 0 ? near : others);
  }

  /** An emoji as its style draws it, margins and all, on white. */
  async #show(code: string, icons = this.#test): Promise<RgbImage[]> {
    const side = this.#side;
    const { data } = await renderSvg(icons.get(code)![0]!, side);
    const whole = { centerX: side / 2, centerY: side / 2, width: side, height: side, angle: 0, flip: false };
    this.#painter.start(() => WHITE);
    this.#painter.add(premultiply(data), side, whole, PLAIN_LOOK);
    return [this.#painter.finish()];
  }
}

const WHITE = [255, 255, 255] as const;
