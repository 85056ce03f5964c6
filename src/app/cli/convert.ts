/** @file `llava convert`: a model in another layout, type or file size. */

import type { Command } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { ConvertOptions, ConvertTarget } from '../../engine/index.ts';
import type { Io } from './commands.ts';
import { companionFolders, MODEL_NAME, modelFolder } from './model-name.ts';
import { type ModelValues, mmprojOption, modelBaseOption, visionTowerOption } from './options.ts';
import { ProgressBar } from './progress.ts';

interface ConvertValues extends Pick<ModelValues, 'visionTower' | 'modelBase' | 'mmproj'> {
  readonly to: string;
  readonly dtype?: string;
  readonly maxShardSize?: number;
}

const HELP = `
Targets:
  hf        as the llava-hf models of the Hugging Face hub; every version of transformers reads it
  hf-new    the same with the names of weights that transformers uses since 4.52
  original  as the LLaVA repository's own models, with the vision tower inside
  onnx      graphs with their weights, for any ONNX Runtime (f32 computation; --dtype keep, f32 or f16)
  gguf      model-*.gguf and mmproj-*.gguf for llama.cpp (--dtype keep, f32, f16, q8_0 or q4_0)

Into hf and hf-new the tokens <image> and <pad> are added where they are missing, and the embeddings grow to a multiple of
64 rows; the new rows are the mean of the old ones. Into original, exactly such an addition is taken out again.
Float weights are kept bit by bit unless --dtype is given, which rounds to nearest even.

Stopped at any moment, the same command goes on with the first file that is not whole. config.json is written last. (onnx,
gguf: a folder appears when it is whole, and an interrupted one starts anew.)`;

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

export function define(command: Command, io: Io): void {
  command
    .argument('<source>', MODEL_NAME)
    .argument('<destination>', 'new folder to write')
    .requiredOption('--to <target>', 'hf, hf-new, original, onnx or gguf')
    .option('--dtype <type>', 'element type of the weights: keep, f32, f16, bf16, q8_0 or q4_0 (default: keep)')
    .option('--max-shard-size <size>', 'largest file of weights, such as 500MB (default: 5GB)', parseSize)
    .addOption(visionTowerOption())
    .addOption(modelBaseOption())
    .addOption(mmprojOption())
    .addHelpText('after', HELP)
    .action((source: string, destination: string, values: ConvertValues) => convert(source, destination, values, io));
}

async function convert(source: string, destination: string, values: ConvertValues, io: Io): Promise<void> {
  const { convertModel } = await import('../../engine/index.ts');
  let bar: ProgressBar | undefined;
  try {
    await convertModel(await modelFolder(source, io), destination, {
      to: values.to as ConvertTarget,
      ...(values.dtype !== undefined && { dtype: values.dtype as NonNullable<ConvertOptions['dtype']> }),
      ...(values.maxShardSize !== undefined && { maxShardBytes: values.maxShardSize }),
      ...(await companionFolders(values, io)),
      ...(values.mmproj !== undefined && { mmproj: values.mmproj }),
      signal: io.signal,
      onProgress: ({ bytes, totalBytes, keptBytes }) => {
        bar ??= new ProgressBar(io.stderr, 'convert', toMegabytes(totalBytes), toMegabytes(keptBytes));
        bar.update(toMegabytes(bytes), '· MB');
      },
    });
  } finally {
    bar?.[Symbol.dispose]();
  }
  io.stdout.write(`${destination}\n`);
}

const toMegabytes = (bytes: number): number => Math.ceil(bytes / 1e6);

/** `5GB`, `500MB`, `2GiB`; a bare number is bytes. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]?i?B)?$/i.exec(text.trim());
  const size = match ? Number(match[1]) * UNITS[(match[2] ?? 'B').toUpperCase()]! : 0;
  if (size >= 1) return size;
  throw new LlavaError(`option --max-shard-size: expected a size such as 5GB or 500MB, got ${JSON.stringify(text)}`);
}
