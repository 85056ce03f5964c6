/**
 * @file A language model as transformers.js loads it: `onnx/model<suffix>.onnx` with the inputs and outputs that it expects. The
 * arithmetic is that of our own graphs, down to the fused attention: what differs is who runs it, and how.
 */

import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { castFloat, dtypeSize, isFloat, sizeOf, tensorBytes } from '../src/core/index.ts';
import { type ModelFolder, openModelFolder } from '../src/engine/model-folder.ts';
import {
  buildGraph,
  cast,
  dim,
  emitOnnx,
  type Graph,
  input,
  type KeyValuePair,
  type OnnxModel,
  type ParamSource,
  type Port,
  reduceSum,
  reshape,
  sub,
} from '../src/graph/index.ts';
import {
  cacheOutputs,
  formatPlan,
  type LlamaConfig,
  llamaDecoder,
  llamaEmbed,
  llamaLogits,
} from '../src/models/index.ts';
import { lengthOf, rotaryTables, Scope } from '../src/nn/index.ts';
import { readTensor, saveFolderAtomic, type WeightEntry, writeFileAtomic } from '../src/weights/index.ts';

/** Weights begin at multiples of a page, so that they can be mapped. */
const ALIGNMENT = 4096;

/** Writes the model in `folder`, in the form it has there, to the new folder `target`; does nothing where that exists. */
export async function writeTransformersJs(folder: string, target: string, suffix: string): Promise<void> {
  if (existsSync(target)) return;
  const files = openModelFolder(folder);
  const name = `model${suffix}.onnx`;
  const { model, weights } = plan(files, `${name}_data`);
  await saveFolderAtomic(target, async temporary => {
    await mkdir(join(temporary, 'onnx'));
    await copyFile(join(folder, 'config.json'), join(temporary, 'config.json'));
    await writeFileAtomic(join(temporary, 'onnx', name), model.bytes);
    await writeFileAtomic(join(temporary, 'onnx', `${name}_data`), async write => {
      let position = 0;
      for (const { entry, offset, byteLength } of weights) {
        await write(new Uint8Array(offset - position));
        await write(weightBytes(entry));
        position = offset + byteLength;
      }
    });
  });
}

interface Weight {
  readonly entry: WeightEntry;
  readonly offset: number;
  readonly byteLength: number;
}

/** Floats are written in f32, as the computation is. */
function weightBytes(entry: WeightEntry): Uint8Array {
  const tensor = readTensor(entry);
  return tensorBytes(isFloat(tensor.dtype) ? castFloat(tensor, 'f32') : tensor);
}

function plan(files: ModelFolder, location: string): { model: OnnxModel; weights: readonly Weight[] } {
  const weights: Weight[] = [];
  let end = 0;
  const place = ({ name, dtype, shape }: Port): ParamSource => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const byteLength = sizeOf(shape as readonly number[]) * dtypeSize(dtype);
    weights.push({ entry: files.weights.get(name)!, offset, byteLength });
    end = offset + byteLength;
    return { kind: 'beside', dtype, location, offset, byteLength };
  };
  const graph = decoder(files.language, new Scope('', files.quantization && formatPlan(files.quantization)));
  return { model: emitOnnx(graph, place), weights };
}

/**
 * Inputs `input_ids` [1, T], `attention_mask` [1, S] of ones, `past_key_values.*`; outputs the last position's `logits` [1, 1, V],
 * `present.*`.
 */
function decoder(config: LlamaConfig, scope: Scope): Graph {
  const tokens = dim('T');
  const ids = input('input_ids', 'i64', [1, tokens]);
  const seen = cast(input('attention_mask', 'i64', [1, dim('S')]), 'f32');
  const last = reshape(cast(sub(lengthOf(tokens), 1), 'i64'), [1]);
  const { hidden, present } = llamaDecoder(scope, llamaEmbed(scope, ids, config), last, config, {
    kind: 'cached',
    past: pastInputs(config),
    lastPosition: cast(sub(reduceSum(seen, [1]), 1), 'i32'),
    totalLength: cast(reduceSum(seen, [0, 1]), 'i32'),
    tables: rotaryTables(config.contextLength, config),
  });
  const logits = reshape(llamaLogits(scope, hidden, config), [1, 1, config.vocabSize]);
  return buildGraph({ logits, ...cacheOutputs(present) });
}

function pastInputs({ numKeyValueHeads, headDim, numHiddenLayers }: LlamaConfig): KeyValuePair[] {
  const shape = [1, numKeyValueHeads, dim('P'), headDim];
  return Array.from({ length: numHiddenLayers }, (_, i) => ({
    key: input(`past_key_values.${i}.key`, 'f32', shape),
    value: input(`past_key_values.${i}.value`, 'f32', shape),
  }));
}
