/**
 * @file Saving under failure. Every call to the file system is a moment at which the process may be killed or the disk may
 * fail: a wrapped `node:fs/promises` walks through all of them.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { f32Tensor, LlavaError } from '../../../src/core/index.ts';
import {
  openSafetensors,
  recoverFolder,
  saveFolderAtomic,
  saveWeights,
  tensorSource,
  writeFileAtomic,
  writeSafetensors,
} from '../../../src/weights/index.ts';
import { listTree, rejection, temporaryFolder } from './helpers.ts';

type AnyFunction = (...args: unknown[]) => Promise<unknown>;

const disk = vi.hoisted(() => ({
  /** Called before each operation; may throw. */
  step: (_operation: string): void => {},
  /** Where files opened for writing really go. */
  redirect: undefined as string | undefined,
}));

vi.mock('node:fs/promises', async importOriginal => {
  const real = await importOriginal<Record<string, AnyFunction>>();
  const watched = (name: string, run: AnyFunction): AnyFunction => {
    return async (...args) => {
      disk.step(name);
      return run(...args);
    };
  };
  /** Writes at most 3 bytes a call, as a system may; always closes. */
  const watchHandle = (handle: FileHandle): object => ({
    write: watched('write', (bytes, offset, length) =>
      handle.write(bytes as Uint8Array, offset as number, Math.min(3, length as number)),
    ),
    sync: watched('sync', () => handle.sync()),
    close: () => handle.close(),
  });
  const open = watched('open', async (path, flags) => {
    const redirected = flags === 'wx' && disk.redirect !== undefined;
    const handle = await (redirected ? real.open!(disk.redirect, 'w') : real.open!(path, flags));
    return watchHandle(handle as FileHandle);
  });
  const names = ['mkdir', 'readdir', 'rename', 'rm', 'stat', 'lstat'];
  return { ...real, open, ...Object.fromEntries(names.map(name => [name, watched(name, real[name]!)])) };
});

afterEach(() => {
  disk.step = () => {};
  disk.redirect = undefined;
});

class Killed extends Error {}

/** From operation `moment` on nothing happens any more. True when the run got that far. */
function killAt(moment: number): () => boolean {
  let count = 0;
  disk.step = () => {
    if (count++ >= moment) throw new Killed();
  };
  return () => count > moment;
}

/** Operation `moment` fails once, the next ones work again. True when the run got that far. */
function failAt(moment: number): () => boolean {
  let count = 0;
  disk.step = operation => {
    if (operation === 'rm' || operation === 'readdir' || count++ !== moment) return;
    const error = new Error(`ENOSPC: no space left on device, ${operation}`);
    throw Object.assign(error, { code: 'ENOSPC', syscall: operation });
  };
  return () => count > moment;
}

const NEW_TREE = ['config.json={"version":2}', 'sub/weights=new weights'];

async function fillNew(folder: string): Promise<void> {
  await writeFileAtomic(join(folder, 'config.json'), '{"version":2}');
  mkdirSync(join(folder, 'sub'));
  await writeFileAtomic(join(folder, 'sub/weights'), async write => {
    await write(Buffer.from('new '));
    await write(Buffer.from('weights'));
  });
}

const OLD_TREE = ['config.json={"version":1}', 'only-old=x'];

function makeOld(): string {
  const folder = join(temporaryFolder(), 'checkpoint');
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), '{"version":1}');
  writeFileSync(join(folder, 'only-old'), 'x');
  return folder;
}

/** Runs `attempt` with a fault at moment 0, 1, 2… until one comes too late to matter. Returns the number of moments. */
async function forEachMoment(
  arm: (moment: number) => () => boolean,
  attempt: (reached: () => boolean) => Promise<void>,
) {
  for (let moment = 0; ; moment++) {
    const reached = arm(moment);
    await attempt(reached);
    disk.step = () => {};
    if (!reached()) return moment;
  }
}

test('a folder: killed at any moment, the old or the new one is there, whole, and nothing is left after the next save', async () => {
  const outcomes = new Set<string>();
  const moments = await forEachMoment(killAt, async () => {
    const folder = makeOld();
    await saveFolderAtomic(folder, fillNew).catch(() => {});
    disk.step = () => {};
    recoverFolder(folder);
    const tree = listTree(folder);
    expect([OLD_TREE, NEW_TREE]).toContainEqual(tree);
    outcomes.add(tree.join());
    await saveFolderAtomic(folder, fillNew);
    expect(listTree(folder)).toEqual(NEW_TREE);
    expect(readdirSync(dirname(folder))).toEqual(['checkpoint']);
  });
  expect(moments).toBeGreaterThan(30);
  expect(outcomes.size).toBe(2);
});

test('a first folder: killed at any moment, it is there whole or not at all', async () => {
  await forEachMoment(killAt, async () => {
    const folder = join(temporaryFolder(), 'runs/checkpoint');
    await saveFolderAtomic(folder, fillNew).catch(() => {});
    recoverFolder(folder);
    if (existsSync(folder)) expect(listTree(folder)).toEqual(NEW_TREE);
  });
});

test('a file: killed at any moment, the old or the new content is there', async () => {
  await forEachMoment(killAt, async () => {
    const path = join(temporaryFolder(), 'state.json');
    writeFileSync(path, 'old');
    await writeFileAtomic(path, 'new content').catch(() => {});
    expect(['old', 'new content']).toContain(readFileSync(path, 'utf8'));
    disk.step = () => {};
    await writeFileAtomic(path, 'third');
    expect(readdirSync(dirname(path))).toEqual(['state.json']);
  });
});

test('a file: a full disk at any moment gives one line, leaves old or new content and no temporary', async () => {
  let refused = 0;
  await forEachMoment(failAt, async () => {
    const path = join(temporaryFolder(), 'state.json');
    writeFileSync(path, 'old');
    const message = await rejection(writeFileAtomic(path, 'new content'));
    if (message) expect(message).toBe(`${path}: expected to write this file, got ENOSPC: no space left on device`);
    if (message) refused++;
    expect(['old', 'new content']).toContain(readFileSync(path, 'utf8'));
    expect(readdirSync(dirname(path))).toEqual(['state.json']);
  });
  expect(refused).toBeGreaterThan(6);
});

test('a folder: a full disk at any moment leaves the old or the new one and no temporary', async () => {
  let refused = 0;
  await forEachMoment(failAt, async reached => {
    const folder = makeOld();
    const message = await rejection(saveFolderAtomic(folder, fillNew));
    if (message) expect(message).toMatch(/^\S+\/checkpoint(\/\S+)?: expected to (save|write) this f\w+, got ENOSPC/);
    if (message) refused++;
    expect([OLD_TREE, NEW_TREE]).toContainEqual(listTree(folder));
    if (!reached()) expect(listTree(folder)).toEqual(NEW_TREE);
    disk.step = () => {};
    await saveFolderAtomic(folder, fillNew);
    expect(readdirSync(dirname(folder))).toEqual(['checkpoint']);
  });
  expect(refused).toBeGreaterThan(25);
});

test.runIf(existsSync('/dev/full'))('weights on a disk that is really full', async () => {
  const path = join(temporaryFolder(), 'model.safetensors');
  await writeSafetensors(path, [tensorSource('w', f32Tensor([2], [1, 2]))]);
  disk.redirect = '/dev/full';
  const message = await rejection(writeSafetensors(path, [tensorSource('w', f32Tensor([2], [3, 4]))]));
  expect(message).toBe(`${path}: expected to write this file, got ENOSPC: no space left on device`);
  expect(openSafetensors(path).entries.size).toBe(1);
  expect(readdirSync(dirname(path))).toEqual(['model.safetensors']);
});

/** Lowers the largest file this process may write; false where the tool is missing. */
function limitFileSize(limit: string): boolean {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('a file size limit met in the middle of a save', async () => {
  const folder = join(temporaryFolder(), 'checkpoint');
  const save = (value: number, length: number): Promise<void> =>
    saveFolderAtomic(folder, to =>
      saveWeights(to, [tensorSource('w', f32Tensor([length], new Float32Array(length).fill(value)))]),
    );
  await save(1, 4);
  onTestFinished(() => void limitFileSize('unlimited'));
  if (!limitFileSize('4096')) return;
  const message = await rejection(save(2, 5000));
  limitFileSize('unlimited');
  expect(message).toBe(`${folder}/model.safetensors: expected to write this file, got EFBIG: file too large`);
  expect(openSafetensors(join(folder, 'model.safetensors')).entries.get('w')?.shape).toEqual([4]);
  expect(readdirSync(dirname(folder))).toEqual(['checkpoint']);
});

test('places that cannot be written', async () => {
  const folder = temporaryFolder();
  const missing = join(folder, 'none/x');
  expect(await rejection(writeFileAtomic(missing, ''))).toBe(
    `${missing}: expected to write this file, got ENOENT: no such file or directory`,
  );
  expect(await rejection(writeFileAtomic(folder, ''))).toBe(`${folder}: expected a file to replace, got a folder`);
  expect(await rejection(saveFolderAtomic(join(folder, 'f'), async () => {}))).toBeUndefined();
  writeFileSync(join(folder, 'file'), '');
  const file = join(folder, 'file');
  expect(await rejection(saveFolderAtomic(file, async () => {}))).toBe(
    `${file}: expected a folder to save into, got a file`,
  );
  expect(await rejection(saveFolderAtomic(join(file, 'x'), async () => {}))).toContain('expected to save this folder');
  if (process.platform !== 'linux') return;
  expect(await rejection(writeFileAtomic('/proc/self/x', ''))).toMatch(
    /expected to write this file, got E(NOENT|ACCES)/,
  );
  expect(await rejection(saveFolderAtomic('/proc/self/y/x', async () => {}))).toMatch(
    /expected to save this folder, got E/,
  );
  expect(await rejection(writeFileAtomic('/dev/null', ''))).toBe(
    '/dev/null: expected a file to replace, got a pipe or device',
  );
});

test('errors of the content function pass unchanged and leave nothing', async () => {
  const folder = temporaryFolder();
  const fail = async (): Promise<void> => {
    throw new LlavaError('mine');
  };
  expect(await rejection(writeFileAtomic(join(folder, 'x'), fail))).toBe('mine');
  expect(await rejection(saveFolderAtomic(join(folder, 'y'), fail))).toBe('mine');
  await expect(writeFileAtomic(join(folder, 'x'), () => Promise.reject(new TypeError('bug')))).rejects.toThrow(
    TypeError,
  );
  expect(readdirSync(folder)).toEqual([]);
});

test('two saves at once to one place: both end, one wins, nothing is left', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'x');
  await Promise.all(['a', 'b', 'c'].map(text => writeFileAtomic(path, text.repeat(10))));
  expect(readFileSync(path, 'utf8')).toMatch(/^(a{10}|b{10}|c{10})$/);
  expect(readdirSync(folder)).toEqual(['x']);
});

test('leftovers of the dead are removed, those of the living and of other names are not', async () => {
  const folder = temporaryFolder();
  const dead = ['.x.tmp-999999999-ab', '.x.old-999999999-ab', `.x.tmp-${process.pid}-ab`];
  const kept = [`.x.tmp-${process.ppid}-ab`, '.xy.tmp-999999999-ab', '.x.tmp-a', 'x.tmp-1-a'];
  for (const name of [...dead, ...kept]) mkdirSync(join(folder, name, 'deep'), { recursive: true });
  await writeFileAtomic(join(folder, 'x'), 'new');
  expect(readdirSync(folder).sort()).toEqual([...kept, 'x'].sort());
});

test('recovery prefers the complete new folder over the old one', () => {
  const base = temporaryFolder();
  const make = (name: string): void => {
    mkdirSync(join(base, name));
    writeFileSync(join(base, name, 'from'), name);
  };
  make('.x.old-1-ab');
  make('.x.tmp-1-ab');
  make('.x.tmp-2-cd');
  recoverFolder(join(base, 'x'));
  expect(readFileSync(join(base, 'x/from'), 'utf8')).toBe('.x.tmp-1-ab');
  recoverFolder(join(base, 'x'));
  recoverFolder(join(base, 'never-saved'));
  recoverFolder(join(base, 'no/such/parent'));
  expect(readdirSync(base).sort()).toEqual(['.x.old-1-ab', '.x.tmp-2-cd', 'x']);
});

test('a reader that recovers the folder in the middle of a save does not break the save', async () => {
  const folder = makeOld();
  let renames = 0;
  disk.step = operation => {
    if (operation === 'rename' && ++renames === 4) recoverFolder(folder);
  };
  await saveFolderAtomic(folder, fillNew);
  expect(renames).toBeGreaterThan(4);
  expect(listTree(folder)).toEqual(NEW_TREE);
  expect(readdirSync(dirname(folder))).toEqual(['checkpoint']);
});

test('a link is replaced, what it points to is not touched', async () => {
  const base = temporaryFolder();
  writeFileSync(join(base, 'blob'), 'blob');
  symlinkSync('blob', join(base, 'link'));
  await writeFileAtomic(join(base, 'link'), 'new');
  expect([readFileSync(join(base, 'blob'), 'utf8'), readFileSync(join(base, 'link'), 'utf8')]).toEqual(['blob', 'new']);
  const folder = makeOld();
  const link = join(base, 'folder-link');
  symlinkSync(folder, link);
  await saveFolderAtomic(link, fillNew);
  expect(listTree(link)).toEqual(NEW_TREE);
  expect(listTree(folder)).toEqual(OLD_TREE);
  renameSync(link, join(base, 'moved'));
});
