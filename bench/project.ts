/** @file Where things lie: the project, and peers that are no dependencies of it. */

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { LlavaError } from '../src/core/index.ts';

/** The project's folder, whether this runs as it is or compiled. */
export function projectFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** An npm package that is compared with: no dependency, installed beside. */
export interface PeerPackage {
  readonly name: string;
  readonly version: string;
  /** The module's file in the package. */
  readonly entry: string;
}

/** Where test/cpu installs its peers. */
const TEST_PEERS = 'node_modules/.cache/llava-peers';

/**
 * Folder of an installed peer: in a folder that LLAVA_BENCH_PEERS lists, where the tests have theirs, or in the project. Throws
 * {@link LlavaError} without.
 */
export function peerFolder({ name, version }: PeerPackage): string {
  const beside = (process.env.LLAVA_BENCH_PEERS ?? '').split(delimiter).filter(folder => folder !== '');
  const folders = [...beside, join(projectFolder(), TEST_PEERS), projectFolder()].map(folder =>
    join(folder, 'node_modules', name),
  );
  const found = folders.find(folder => existsSync(join(folder, 'package.json')));
  if (found) return found;
  throw new LlavaError(
    `bench: expected the package ${name}, got none: npm install --no-save --ignore-scripts ${name}@${version}, ` +
      'or name a folder that has it in node_modules in LLAVA_BENCH_PEERS',
  );
}

/** `name version`, as installed. */
export function describePeer(peer: PeerPackage): string {
  const { version } = JSON.parse(readFileSync(join(peerFolder(peer), 'package.json'), 'utf8')) as { version: string };
  return `${peer.name} ${version}`;
}

/** The peer's module; the caller says what of it is used. */
export async function importPeer<T>(peer: PeerPackage): Promise<T> {
  return (await import(pathToFileURL(join(peerFolder(peer), peer.entry)).href)) as T;
}

/** The Python that has torch and transformers. */
export function pythonCommand(): string {
  return process.env.LLAVA_BENCH_PYTHON || 'python3';
}

/** Versions of Python packages, as `torch 2.15.0, transformers 5.23.0`. Throws {@link LlavaError} where one is missing. */
export async function describePython(packages: readonly string[]): Promise<string> {
  const script = 'import sys, importlib.metadata as m; print(", ".join(f"{p} {m.version(p)}" for p in sys.argv[1:]))';
  try {
    const { stdout } = await promisify(execFile)(pythonCommand(), ['-c', script, ...packages]);
    return stdout.trim();
  } catch {
    throw new LlavaError(
      `bench: expected ${packages.join(' and ')} in ${pythonCommand()}, got none: pip install ${packages.join(' ')}, ` +
        'and name that Python in LLAVA_BENCH_PYTHON',
    );
  }
}
