/**
 * @file Fetches pinned npm packages on demand into a cache folder, with the user's own `npm` and so with the user's
 * registry settings. They are data of a recipe, not dependencies of this package; nothing in them is executed.
 */

import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, LlavaError, throwIfAborted } from '../../../core/index.ts';
import type { NpmPackage } from './packages.ts';

/** Where {@link fetchPackages} keeps things. */
export interface FetchOptions {
  /** Cache folder. Default: {@link cacheFolder}. */
  readonly cacheDir?: string;
  /** Command that installs. Default `npm`. */
  readonly npm?: string;
  readonly signal?: AbortSignal;
  /** Told once before something is downloaded. */
  readonly onDownload?: (names: readonly string[]) => void;
}

/**
 * Makes sure that `packages` are in the cache, at exactly their versions; what is there already is not asked for again, so
 * a second call works offline, and a broken one goes on where it stopped.
 * @returns a function from package name to its folder.
 * @throws LlavaError with npm's last line when npm is missing or fails.
 */
export async function fetchPackages(
  packages: readonly NpmPackage[],
  options: FetchOptions = {},
): Promise<(name: string) => string> {
  const root = join(options.cacheDir ?? cacheFolder(), 'npm');
  const folder = (name: string) => join(root, 'node_modules', ...name.split('/'));
  const present = await Promise.all(
    packages.map(async one => (await installedVersion(folder(one.name))) === one.version),
  );
  const missing = packages.filter((_, i) => !present[i]);
  if (missing.length > 0) {
    throwIfAborted(options.signal, 'fetch');
    options.onDownload?.(missing.map(({ name, version }) => `${name}@${version}`));
    await mkdir(root, { recursive: true });
    await writeFile(join(root, 'package.json'), await manifest(root, packages));
    await npmInstall(root, options);
  }
  return folder;
}

async function installedVersion(folder: string): Promise<string | undefined> {
  return (await readJson(join(folder, 'package.json')))?.version as string | undefined;
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch {
    return undefined; // absent or cut short by an interruption: install again
  }
}

/** What the cache's own package.json should ask for: these and what earlier calls asked for. */
async function manifest(root: string, packages: readonly NpmPackage[]): Promise<string> {
  const before = (await readJson(join(root, 'package.json')))?.dependencies as object | undefined;
  const dependencies = { ...before, ...Object.fromEntries(packages.map(({ name, version }) => [name, version])) };
  return `${JSON.stringify({ private: true, dependencies }, null, 2)}\n`;
}

const NPM_ARGUMENTS = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--omit=peer'];

function npmInstall(cwd: string, { npm = 'npm', signal }: FetchOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // npm is a .cmd file on Windows, which only a shell can start; the arguments are constants.
    const shell = process.platform === 'win32';
    const child = spawn(npm, NPM_ARGUMENTS, { cwd, shell, signal, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    child.on('error', error => reject(new LlavaError(`fetch: expected to run ${npm}, got ${error.message}`)));
    child.on('close', code => (code === 0 ? resolve() : reject(npmError(npm, code, log))));
  });
}

function npmError(npm: string, code: number | null, log: string): LlavaError {
  const lines = log.split('\n').filter(line => /^npm (error|ERR!)/.test(line));
  const reason = (lines[0] ?? 'no message').replace(/^npm (error|ERR!) */, '');
  const detail = lines.find(line => /code|network|404|ENOSPC/.test(line) && !line.endsWith(reason)) ?? '';
  return new LlavaError(
    `fetch: expected ${npm} install to succeed, got exit code ${code}: ${reason} ${detail.replace(/^npm (error|ERR!) */, '')}`.trim(),
  );
}
