/**
 * @file Models of published shapes with random weights, for measuring speed and memory where no checkpoint is at hand. Weights
 * are made in the wanted form directly, one at a time: a quantised 7B never exists in floats.
 */

import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DType, type HostTensor, hostTensor, LlavaError, Rng } from '../core/index.ts';
import {
  decoderGraph,
  formatPlan,
  formatQuantization,
  isLanguageConfig,
  type JsonObject,
  type ModelConfig,
  parseModelConfig,
  type Quantization,
  visionGraph,
} from '../models/index.ts';
import { TOKENIZER_FILES } from '../processor/index.ts';
import { findFile, saveFolderAtomic, saveWeights, type TensorSource } from '../weights/index.ts';
import { QUANTIZATION_KEY } from './model-folder.ts';

/** What {@link writeSyntheticModel} is told. */
export interface SyntheticOptions {
  readonly quantization: Quantization;
  /** Folder whose tokenizer files are copied: one of no more tokens than the model's vocabulary. */
  readonly tokenizer: string;
}

/** Writes a model of the configuration `json` with random weights to the new folder `target`. */
export async function writeSyntheticModel(json: JsonObject, target: string, options: SyntheticOptions): Promise<void> {
  const config = parseModelConfig(json, 'synthetic model');
  const { quantization, tokenizer } = options;
  await saveFolderAtomic(target, async temporary => {
    for (const name of TOKENIZER_FILES) {
      const file = findFile(name, [tokenizer]);
      if (file) await copyFile(file, join(temporary, name));
    }
    await saveWeights(temporary, randomSources(config, quantization));
    const isFloat = quantization.format === 'float' && quantization.exceptions.length === 0;
    const whole = isFloat ? json : { ...json, [QUANTIZATION_KEY]: formatQuantization(quantization) };
    await writeFile(join(temporary, 'config.json'), `${JSON.stringify(whole, null, 2)}\n`);
  });
}

function randomSources(config: ModelConfig, quantization: Quantization): TensorSource[] {
  const plan = formatPlan(quantization);
  if (config.modelType === 'clip')
    throw new LlavaError('synthetic model: expected a llava or a language model, got clip');
  const graphs = isLanguageConfig(config)
    ? [decoderGraph(config, '', plan)]
    : [decoderGraph(config.language, 'language_model', plan), visionGraph(config, plan)];
  return graphs.flatMap(graph =>
    graph.params.map(({ name, dtype, shape }, i) => {
      const sizes = shape as readonly number[];
      // Tables of embeddings stay in 16 bits, as published.
      const stored: DType = dtype === 'f32' && sizes.length > 1 && !name.endsWith('.scale') ? 'f16' : dtype;
      return { name, dtype: stored, shape: sizes, read: () => randomTensor(name, stored, sizes, i) };
    }),
  );
}

/** Numbers of a size that keeps activations finite: norms of ones, scales and weights of about 1/√inputs. */
function randomTensor(name: string, dtype: DType, shape: readonly number[], seed: number): HostTensor {
  const tensor = hostTensor(dtype, shape);
  const rng = new Rng(seed);
  if (dtype === 'i8' || dtype === 'u8') {
    const words = new Uint32Array(tensor.data.buffer, 0, tensor.data.byteLength >> 2);
    for (let i = 0; i < words.length; i++) words[i] = rng.nextUint32();
    return tensor;
  }
  if (dtype === 'f16') {
    // 0x2000 … 0x23ff are the numbers from 0.0078 to 0.0156; the top bit is the sign.
    for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 0x2000 | (rng.nextUint32() & 0x83ff);
    return tensor;
  }
  (tensor.data as Float32Array).fill(/norm\w*\.weight$/.test(name) ? 1 : name.endsWith('.scale') ? 1e-4 : 0.01);
  return tensor;
}
