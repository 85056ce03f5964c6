/**
 * @file Runs the README's shell commands in a clean copy of the repository, as a newcomer would: every block fenced as
 * `bash`, in order, each in a shell that stops at the first error. Blocks under an HTML comment `<!-- not run: reason -->`
 * are left out, and say why.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const copy = mkdtempSync(join(tmpdir(), 'llava-readme-'));
const BLOCK = /(<!-- not run: [^>]*-->\s*)?```bash\n([\s\S]*?)```/g;

try {
  execFileSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, copy]);
  const readme = readFileSync(join(copy, 'README.md'), 'utf8');
  for (const [, skipped, commands] of readme.matchAll(BLOCK)) {
    if (skipped) {
      console.log(`-- ${skipped.trim()}`);
      continue;
    }
    console.log(`$ ${commands.trim()}`);
    const { status } = spawnSync('bash', ['-euo', 'pipefail', '-c', commands], {
      cwd: copy,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (status !== 0) throw new Error(`README: expected exit code 0 of the commands above, got ${status}`);
  }
  console.log("All of the README's commands ran.");
} finally {
  rmSync(copy, { recursive: true, force: true });
}
