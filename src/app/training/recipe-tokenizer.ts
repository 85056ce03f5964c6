/** @file The tokenizer of a recipe: loaded from a folder, or trained on text of the recipe's data, once. */

import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SampleOrder, type WeightedSource } from '../../data/index.ts';
import { getTemplate, loadTokenizer, saveTokenizer, type Tokenizer, trainBpe } from '../../processor/index.ts';
import type { DataSpec, Recipe, TokenizerSpec } from '../../train/index.ts';
import { saveFolderAtomic } from '../../weights/index.ts';
import { TOKENIZER_FOLDER } from './stage-folder.ts';

/** Tokens beside `<unk> <s> </s>` that a trained tokenizer gets. */
const EXTRA_TOKENS = ['<pad>', '<image>'];
/** How often the templates' own words count among the lines: often enough to become tokens, since they are in every prompt. */
const TEMPLATE_COPIES = 1000;

/** The tokenizer in `output`/tokenizer, made or copied there first when it is missing. */
export async function prepareTokenizer(
  { tokenizer: spec, stages }: Recipe,
  output: string,
  openSources: (data: readonly DataSpec[]) => Promise<readonly WeightedSource[]>,
): Promise<Tokenizer> {
  const folder = join(output, TOKENIZER_FOLDER);
  if (!existsSync(folder)) {
    await saveFolderAtomic(folder, async temporary => {
      if (spec.path) await copyFolder(spec.path, temporary);
      else {
        const text = [...templateLines(stages), ...(await lines(spec, openSources))];
        await saveTokenizer(temporary, trainBpe(text, options(spec)));
      }
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

/** The system text and role names of the templates that conversations are trained with. */
function templateLines(stages: Recipe['stages']): string[] {
  const conversing = stages.filter(({ kind }) => kind === 'projector' || kind === 'finetune');
  const names = new Set(conversing.map(stage => stage.template));
  const texts = [...names].map(name => {
    const { system, human, open } = getTemplate(name);
    return [system, human[0], open].join(' ').trim();
  });
  return texts.filter(text => text !== '').flatMap(text => Array<string>(TEMPLATE_COPIES).fill(text));
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
