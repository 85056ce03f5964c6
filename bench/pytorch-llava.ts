/**
 * @file From a picture's pixels and 64 tokens of text to the logits of the first token, against PyTorch with transformers (scaled
 * dot-product attention, no graph of ours near it): LLaVA-1.5-7B's shapes, and LLaVA-1.6's for a picture of five tiles. The same
 * random weights, the same threads. The language model has 8 of 32 layers, so that PyTorch in f32 fits beside ours.
 */

import { quantizedFolder } from '../src/engine/index.ts';
import {
  type ImageLayout,
  imageLayout,
  type JsonObject,
  type LlavaConfig,
  parseModelConfig,
} from '../src/models/index.ts';
import { agreementRow, correlation } from './agreement.ts';
import { randomIds } from './language-side.ts';
import { llama7b, modelName, syntheticModel, vitLarge } from './models.ts';
import { NumberFiles, readNumbers } from './numbers.ts';
import type { Bench, BenchOptions } from './options.ts';
import { describePython } from './project.ts';
import { alternate, progress, type Row, row } from './rows.ts';
import { Worker } from './worker.ts';

const THREADS = 2;
const LAYERS = 8;
const TEXT = 64;
/** Forms of ours; `auto` is left out where it is one of the others. */
const FORMS = ['w8a8', 'w8a16', 'auto'] as const;
/** Least correlation of the logits. */
const LEAST = 0.9;

export const bench: Bench = {
  parts: ['1.5/f32', '1.5/bf16', '1.6/f32', '1.6/bf16'],
  peer: () => describePython(['torch', 'transformers']),
  rows,
};

function llavaJson(version: string, layers: number, isSmoke: boolean): JsonObject {
  const text = llama7b({ layers, isSmoke });
  const vision = vitLarge({ layers: isSmoke ? 3 : 24, isSmoke });
  const side = vision.image_size as number;
  return {
    model_type: version === '1.6' ? 'llava_next' : 'llava',
    text_config: text,
    vision_config: vision,
    vision_feature_layer: -2,
    vision_feature_select_strategy: 'default',
    image_token_index: (text.vocab_size as number) - 1,
    projector_hidden_act: 'gelu',
    ...(version === '1.6' && {
      image_grid_pinpoints: [
        [side, 2 * side],
        [2 * side, side],
        [2 * side, 2 * side],
        [3 * side, side],
        [side, 3 * side],
      ],
    }),
  };
}

/** A picture with its text, as both sides are given it. */
interface Question {
  readonly layout: ImageLayout;
  /** What both are given. */
  readonly args: { readonly pixels: string; readonly shape: readonly number[]; readonly ids: readonly number[] };
  readonly ours: object;
  readonly peer: object;
}

/** A picture twice as wide and as high as a tile, in the middle of the text. */
function question(config: LlavaConfig, files: NumberFiles): Question {
  const side = config.vision.imageSize;
  const size = { width: 2 * side, height: 2 * side };
  const layout = imageLayout(config, size);
  const shape = [layout.tiles, 3, side, side];
  const start = TEXT / 2;
  const text = randomIds(TEXT);
  const filler = Array<number>(layout.tokenCount).fill(config.imageTokenId);
  const ids = [...text.slice(0, start), ...filler, ...text.slice(start)];
  return {
    layout,
    args: { pixels: files.randomPixels(shape), shape, ids },
    ours: { size, start },
    peer: config.anyres ? { image_size: [size.height, size.width] } : {},
  };
}

async function* rows(part: string, { n, isSmoke, layers = isSmoke ? 2 : LAYERS }: BenchOptions): AsyncGenerator<Row> {
  const [version, dtype] = part.split('/') as [string, string];
  const json = llavaJson(version, layers, isSmoke);
  const folder = await syntheticModel(modelName(`llava-${version}-7b`, { layers, isSmoke }), json);
  using files = new NumberFiles();
  const asked = question(parseModelConfig(json, 'bench') as LlavaConfig, files);
  await using peer = Worker.python('bench_peer.py', []);
  await peer.call('load', { folder, dtype, threads: THREADS });
  await using ours = await OurForms.load(folder);
  yield* compare({ version, layers, peerName: `PyTorch ${dtype}` }, asked, files, ours.workers, peer, n);
}

/** Workers of ours, by the form of their weights. */
class OurForms implements AsyncDisposable {
  readonly workers = new Map<string, Worker>();

  static async load(folder: string): Promise<OurForms> {
    const ours = new OurForms();
    for (const [name, form] of await forms(folder)) {
      const worker = Worker.node('worker-ours-image');
      ours.workers.set(name, worker);
      await worker.call('load', { folder: form, threads: THREADS });
    }
    return ours;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers.values()) await worker[Symbol.asyncDispose]();
  }
}

/** Folders of our forms, by name. */
async function forms(folder: string): Promise<Map<string, string>> {
  const byFolder = new Map<string, string>();
  for (const form of FORMS) {
    const made = await quantizedFolder(folder, form, { calibration: false });
    const known = byFolder.get(made);
    byFolder.set(made, known ? `${known} (${form})` : form);
  }
  return new Map([...byFolder].map(([made, name]) => [name, made]));
}

interface Named {
  readonly version: string;
  readonly layers: number;
  readonly peerName: string;
}

async function* compare(
  { version, layers, peerName }: Named,
  { layout, args, ours: forOurs, peer: forPeer }: Question,
  files: NumberFiles,
  ours: ReadonlyMap<string, Worker>,
  peer: Worker,
  n: number,
): AsyncGenerator<Row> {
  const title = `LLaVA-${version}-7B, ${layers} of 32 layers, ${layout.tiles} tiles, ${layout.tokenCount} + ${TEXT} tokens`;
  const ask = (worker: Worker, more: object): Promise<number> => worker.call('firstToken', { ...args, ...more });
  const logits = async (worker: Worker, more: object) => {
    await ask(worker, { ...more, output: files.path('logits') });
    return readNumbers(files.path('logits'));
  };
  const theirs = await logits(peer, forPeer);
  for (const [name, worker] of ours) {
    const alike = correlation(await logits(worker, forOurs), theirs);
    yield agreementRow(
      { name: `${name}: ${title}: logits`, ours: alike, peer: 1, peerName, unit: 'correlation' },
      LEAST,
    );
  }
  progress(`${title}: ${[...ours.keys()].join(', ')}, ${peerName}`);
  const runs = [...Array.from(ours.values(), worker => () => ask(worker, forOurs)), () => ask(peer, forPeer)];
  const times = await alternate(runs, n, false); // the check above was the warm-up
  for (const [i, name] of [...ours.keys()].entries()) {
    const parts = { name: `${name}: ${title}: first token`, ours: times[i]!, peer: times.at(-1)!, peerName };
    yield row({ ...parts, unit: 'ms', n });
  }
}
