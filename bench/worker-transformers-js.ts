/** @file A worker that runs a language model with transformers.js on onnxruntime-node. */

import { median, timed } from '../src/engine/index.ts';
import { importPeer } from './project.ts';
import { memory, serve } from './serve.ts';
import { TRANSFORMERS_JS } from './transformers-js-package.ts';

interface Ids {
  readonly ids: readonly number[];
}

interface PeerTensor {
  readonly data: Float32Array;
}

/** The part of transformers.js that is used here. */
interface TransformersJs {
  readonly AutoModelForCausalLM: { from_pretrained(folder: string, options: object): Promise<PeerModel> };
  readonly BaseStreamer: new () => object;
  readonly Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => object;
}

interface PeerModel {
  (inputs: object): Promise<{ readonly logits: PeerTensor }>;
  generate(options: object): Promise<unknown>;
}

let peer: TransformersJs;
let model: PeerModel;

interface LoadArgs {
  readonly folder: string;
  readonly dtype: string;
  readonly threads: number;
}

async function load({ folder, dtype, threads }: LoadArgs): Promise<void> {
  peer = await importPeer<TransformersJs>(TRANSFORMERS_JS);
  model = await peer.AutoModelForCausalLM.from_pretrained(folder, {
    dtype,
    device: 'cpu',
    local_files_only: true,
    use_external_data_format: true,
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  });
}

/** Ids [1, T] and as many ones. */
function inputs({ ids }: Ids): object {
  const tensor = (values: readonly number[]) =>
    new peer.Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
  return { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) };
}

const read = (ids: Ids): Promise<number> => timed(() => model(inputs(ids)));

async function logits(ids: Ids): Promise<number[]> {
  return [...(await model(inputs(ids))).logits.data];
}

async function write({ ids, count }: Ids & { readonly count: number }) {
  const written: number[] = [];
  const times: number[] = [];
  let last = 0;
  let calls = 0;
  const streamer = Object.assign(new peer.BaseStreamer(), {
    /** Is given the prompt first, then token after token, one list a sequence. */
    put([[id]]: readonly [readonly [bigint]]) {
      const now = performance.now();
      if (calls > 1) times.push(now - last); // the first token comes with the prompt
      if (calls > 0) written.push(Number(id));
      calls++;
      last = now;
    },
    end() {},
  });
  const lengths = { max_new_tokens: count + 1, min_new_tokens: count + 1 };
  await model.generate({ ...inputs({ ids }), ...lengths, do_sample: false, streamer });
  return { ms: median(times), ids: written };
}

await serve({ load, read, logits, write, memory });
