import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import { runtimeInfo } from '../../../src/runtime/index.ts';
import { libraryPath } from '../../../src/runtime/library.ts';

const mappings = '/proc/self/maps';

test.skipIf(!existsSync(mappings))('nothing native is loaded before the first use (needs /proc)', () => {
  const loaded = () => /libonnxruntime|koffi/.test(readFileSync(mappings, 'utf8'));
  expect(loaded()).toBe(false);
  runtimeInfo();
  expect(loaded()).toBe(true);
});

test('runtimeInfo tells the version, the providers and the threads', () => {
  const info = runtimeInfo();
  expect(info.version).toMatch(/^1\.30\./);
  expect(info.providers).toContain('CPUExecutionProvider');
  expect(info.threads).toBe(availableParallelism());
});

test.each(['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64'])('%s has a library', name => {
  const [platform, arch] = name.split('-') as [string, string];
  expect(existsSync(libraryPath(platform, arch))).toBe(true);
});

test('a platform without a library is named', () => {
  expect(() => libraryPath('darwin', 'x64')).toThrow(LlavaError);
  expect(() => libraryPath('darwin', 'x64')).toThrow(/expected one of the platforms linux-x64, .*, got darwin-x64$/);
});
