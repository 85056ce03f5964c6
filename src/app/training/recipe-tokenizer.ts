/** @file The tokenizer of a recipe: loaded from a folder, or trained on text of the recipe's data, once. */

import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SampleOrder, type WeightedSource } from '../../data/index.ts';
import { loadTokenizer, saveTokenizer, type Tokenizer, trainBpe } from '../../processor/index.ts';
import type { DataSpec, TokenizerSpec } from '../../train/index.ts';
import { saveFolderAtomic } from '../../weights/index.ts';
import { TOKENIZER_FOLDER } from './stage-folder.ts';

/** Tokens beside `<unk> <s> </s>` that a trained tokenizer gets. */
const EXTRA_TOKENS = ['<pad>', '<image>'];

/** The tokenizer in `output`/tokenizer, made or copied there first when it is missing. */
export async function prepareTokenizer(
  spec: TokenizerSpec,
  output: string,
  openSources: (data: readonly DataSpec[]) => Promise<readonly WeightedSource[]>,
): Promise<Tokenizer> {
  const folder = join(output, TOKENIZER_FOLDER);
  if (!existsSync(folder)) {
    await saveFolderAtomic(folder, async temporary => {
      if (spec.path) await copyFolder(spec.path, temporary);
      else await saveTokenizer(temporary, trainBpe(await lines(spec, openSources), options(spec)));
    });
  }
  return loadTokenizer(folder);
}

const options = (spec: TokenizerSpec) => ({ vocabSize: spec.vocabSize, specialTokens: EXTRA_TOKENS });

async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const file of await readdir(from)) {
    if (/^(tokenizer|special_tokens|added_tokens)/.test(file)) await copyFile(join(from, file), join(to, file));
  }
}

/** All that is said in the first samples of the data. */
async function lines(
  spec: TokenizerSpec,
  openSources: (data: readonly DataSpec[]) => Promise<readonly WeightedSource[]>,
): Promise<string[]> {
  const order = new SampleOrder(await openSources([spec.data!]), 0);
  const samples = await order.samples(0, spec.lines);
  return samples.flatMap(sample => sample.conversations.map(turn => turn.value.replaceAll('<image>', '').trim()));
}
