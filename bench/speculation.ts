/**
 * @file Guessed tokens against plain decoding, both ours, the answers the same: on answers that quote the prompt and on long
 * descriptions. SmolLM2-135M-Instruct writes the answers; then they are written again, given, by a model of LLaMA-7B's shapes,
 * since which guesses are right depends on the text alone, and what a run of several tokens costs on the model. There, a
 * description is also guessed by SmolLM2 as a draft model, which has not written it.
 */

import { LlavaError } from '../src/core/index.ts';
import { Draft } from '../src/engine/draft.ts';
import { generateTokens, type LlavaModel, loadModel, type Sequence } from '../src/engine/index.ts';
import { type Guesser, SpeculativeReader } from '../src/engine/speculation.ts';
import type { Tokenizer } from '../src/processor/index.ts';
import { indexOfLargest } from './agreement.ts';
import { inForm, llama7b, modelName, syntheticModel } from './models.ts';
import type { Bench, BenchOptions } from './options.ts';
import { alternate, progress, type Row, row } from './rows.ts';
import { openSmolLm2 } from './smollm2.ts';
import { TEXTS } from './speculation-texts.ts';

const THREADS = 2;
const LAYERS = 8;
/**
 * Several tokens at once take another kernel of attention than one: equal but for the last bits. Rounding activations to 8 bits
 * makes more of them, so that near ties may fall the other way; in floats every token of these texts is the same.
 */
const FORMAT = 'float';
/** Form of the draft, whose guesses decide nothing. */
const DRAFT_FORMAT = 'w8a8';
/** Tokens guessed at once. */
const AHEAD = [4, 8];
const ANSWER = 128;
/** In the vocabulary, but no id of a text of {@link compact}. */
const NO_ID = 4095;
const PEER_NAME = 'plain decoding';

export const bench: Bench = {
  parts: Object.keys(TEXTS),
  peer: async () => 'our own plain decoding',
  rows,
};

/** A prompt and what follows it. */
export interface Exchange {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

/** What a way to write an answer took. */
interface Outcome {
  readonly ids: readonly number[];
  readonly msPerToken: number;
  /** Runs of the model. */
  readonly runs: number;
}

async function* rows(part: string, options: BenchOptions): AsyncGenerator<Row> {
  const { isSmoke, layers = isSmoke ? 2 : LAYERS } = options;
  const { questions, given } = TEXTS[part]!;
  const { folder, tokenizer } = await openSmolLm2();
  const exchanges: Exchange[] = [];
  {
    using model = await loadModel(await inForm(folder, FORMAT), { threads: THREADS });
    for (const question of questions) {
      const prompt = tokenizer.encode(chat(question));
      const write = (ahead: number) => writeAnswer(model, tokenizer, prompt, ahead, isSmoke ? 24 : ANSWER);
      const { ids } = await write(0);
      exchanges.push({ prompt, answer: ids });
      const number = exchanges.length;
      progress(`${part} ${number}: ${JSON.stringify(tokenizer.decode([...ids]))}`);
      yield* compare(`SmolLM2-135M ${FORMAT}, ${part} ${number}`, write, options);
    }
  }
  const shape = { layers, isSmoke };
  const large = await inForm(await syntheticModel(modelName('llama-7b', shape), llama7b(shape)), FORMAT);
  using model = await loadModel(large, { threads: THREADS });
  const text: Exchange = { prompt: tokenizer.encode(chat(given.question)), answer: tokenizer.encode(given.answer) };
  const most = isSmoke ? 24 : ANSWER;
  const title = `LLaMA-7B shapes, ${layers} layers, ${FORMAT}, ${part}`;
  for (const [name, exchange] of Object.entries({ given: text, 1: exchanges[0]! })) {
    const small = compact(exchange, most);
    yield* compare(`${title} ${name}`, ahead => replay(model, small, ahead), options);
  }
  if (part !== 'describe') return;
  using small = await loadModel(await inForm(folder, DRAFT_FORMAT), { threads: THREADS });
  using draft = new TextDraft(small, text, most);
  yield* compare(
    `${title} given, draft ${DRAFT_FORMAT}`,
    ahead => replay(model, draft.exchange, ahead, draft),
    options,
  );
}

/** The draft's guesses in the ids of {@link compact}: it reads the text in its own. */
class TextDraft implements Guesser, Disposable {
  readonly exchange: Exchange;
  readonly #draft: Draft;
  readonly #text: readonly number[];

  constructor(model: LlavaModel, { prompt, answer }: Exchange, most: number) {
    this.#text = [...prompt, ...answer.slice(0, most)];
    this.exchange = compact({ prompt, answer }, most);
    this.#draft = new Draft(model, this.#text.length + 1);
  }

  async guess({ length }: readonly number[], count: number): Promise<readonly number[]> {
    const guessed = await this.#draft.guess(this.#text.slice(0, length), count);
    const wrong = guessed.findIndex((id, i) => id !== this.#text[length + i]);
    const right = guessed.slice(0, wrong < 0 ? guessed.length : wrong).length;
    const { prompt, answer } = this.exchange;
    const ids = [...prompt, ...answer].slice(length, length + right);
    return [...ids, ...Array<number>(guessed.length - right).fill(NO_ID)];
  }

  [Symbol.dispose](): void {
    this.#draft.dispose();
  }
}

/** The prompt of one question, as the model was trained to be asked. */
function chat(question: string): string {
  return `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
}

/** The same exchange in ids of a smaller vocabulary, equal where they were equal; `most` tokens of the answer. */
export function compact({ prompt, answer }: Exchange, most: number): Exchange {
  const ids = new Map<number, number>();
  const renumber = (id: number): number => {
    if (!ids.has(id)) ids.set(id, ids.size);
    return ids.get(id)!;
  };
  return { prompt: prompt.map(renumber), answer: answer.slice(0, most).map(renumber) };
}

/** Rows of each number of guesses: time a token, and tokens a run. Throws where what is written differs. */
async function* compare(
  name: string,
  write: (ahead: number) => Promise<Outcome>,
  { n }: BenchOptions,
): AsyncGenerator<Row> {
  const plain = await write(0);
  for (const ahead of AHEAD) {
    const { ids, runs } = await write(ahead);
    if (ids.join() !== plain.ids.join()) {
      throw new LlavaError(`${name}, ${ahead} ahead: expected the tokens of plain decoding, got others`);
    }
    const title = `${name}, ${ahead} ahead`;
    const tokensPerRun = plain.runs / runs; // alone, each run gives one
    yield row({ name: title, ours: tokensPerRun, peer: 1, peerName: PEER_NAME, unit: 'tokens/run', n: 1 });
    progress(`${title}, ${ids.length} tokens`);
    const time = (guessed: number) => async () => (await write(guessed)).msPerToken;
    const [ours, peer] = (await alternate([time(ahead), time(0)], n, false)) as [number, number];
    yield row({ name: `${title}: a token`, ours, peer, peerName: PEER_NAME, unit: 'ms', n });
  }
}

/** The likeliest answer, at most `most` tokens. */
async function writeAnswer(
  model: LlavaModel,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  lookahead: number,
  most: number,
): Promise<Outcome> {
  using sequence = model.sequence(prompt.length + most);
  const logits = await sequence.read({ ids: prompt, images: [] });
  const runs = countRuns(sequence);
  const start = performance.now();
  const ids: number[] = [];
  const ends = new Set(tokenizer.eosId === undefined ? [] : [tokenizer.eosId]);
  for await (const id of generateTokens(sequence, logits, ends, prompt, { maxTokens: most, lookahead })) ids.push(id);
  return { ids, runs: runs(), msPerToken: (performance.now() - start) / ids.length };
}

/** Writes a given answer; `ids` are the likeliest tokens after each of its tokens. */
async function replay(
  model: LlavaModel,
  { prompt, answer }: Exchange,
  ahead: number,
  guesser?: Guesser,
): Promise<Outcome> {
  using sequence = model.sequence(prompt.length + answer.length + ahead);
  await sequence.read({ ids: prompt, images: [] });
  const runs = countRuns(sequence);
  const reader = new SpeculativeReader(sequence, prompt, ahead, guesser);
  const start = performance.now();
  const ids: number[] = [];
  for (const id of answer) ids.push(indexOfLargest(await reader.append(id)));
  reader.settle();
  return { ids, runs: runs(), msPerToken: (performance.now() - start) / answer.length };
}

/** Counts runs of the model from now on; returns the count so far. */
function countRuns(sequence: Sequence): () => number {
  let runs = 0;
  const [append, appendAll] = [sequence.append.bind(sequence), sequence.appendAll.bind(sequence)];
  sequence.append = (...args) => {
    runs++;
    return append(...args);
  };
  sequence.appendAll = (...args) => {
    runs++;
    return appendAll(...args);
  };
  return () => runs;
}
