/** @file `npm run bench -- NAME`: one comparison, printed, and saved in bench/results. See README.md beside this. */

import { join } from 'node:path';
import { LlavaError } from '../src/core/index.ts';
import { type Bench, chosenParts, parseCommand } from './options.ts';
import { projectFolder } from './project.ts';
import { saveRows } from './results.ts';
import { formatRows, progress, type Row } from './rows.ts';

const BENCHES: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  'llama-cpp': () => import('./llama-cpp.ts'),
  'pytorch-vision': () => import('./pytorch-vision.ts'),
  'pytorch-llava': () => import('./pytorch-llava.ts'),
  'transformers-js': () => import('./transformers-js.ts'),
  bandwidth: () => import('./bandwidth.ts'),
  speculation: () => import('./speculation.ts'),
  start: () => import('./start.ts'),
};

async function main(args: readonly string[]): Promise<void> {
  const { name, only, options, json, isStandard } = parseCommand(args, Object.keys(BENCHES));
  const { bench } = await BENCHES[name]!();
  const parts = chosenParts(bench, only);
  const peer = await bench.peer();
  progress(`${name}, against ${peer}`);
  const rows: Row[] = [];
  for (const part of parts) {
    for await (const row of bench.rows(part, options)) {
      rows.push(row);
      progress(formatRows([row]));
      if (isStandard) saveRows(join(projectFolder(), 'bench/results'), name, peer, [row]);
    }
  }
  console.log(json ? JSON.stringify(rows, null, 2) : formatRows(rows));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof LlavaError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
