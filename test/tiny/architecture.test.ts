/** @file Keeps `src/` as docs/structure.md draws it. Each rule is shown to fail on a source that breaks it. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { complaints } from './architecture-rules.ts';

const SRC = join(import.meta.dirname, '../../src');

test('src/ keeps the rules', { timeout: 60_000 }, () => {
  const paths = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts'));
  const sources = new Map(paths.map(path => [path.replaceAll('\\', '/'), readFileSync(join(SRC, path), 'utf8')]));
  expect(sources.size).toBeGreaterThan(20);
  expect(complaints(sources)).toEqual([]);
});

const of = (sources: Record<string, string>) => complaints(new Map(Object.entries(sources)));
const lines = (count: number) => '// a line\n'.repeat(count);

describe('complains', () => {
  test.each([
    ['graph/a.ts', 'graph may not import runtime', `import { x } from '../runtime/index.ts';`],
    ['graph/ops/a.ts', 'graph may not import nn', `export * from '../../nn/index.ts';`],
    ['app/cli/ask.ts', 'app may not import graph', `import type { Value } from '../../graph/index.ts';`],
    ['engine/a.ts', 'engine may not import train', `const t = await import('../train/index.ts');`],
    ['eval/a.ts', 'eval may not import train', `export type A = import('../train/index.ts').A;`],
    ['nn/a.ts', 'imports graph/ops/nn.ts, which is not the entry of graph', `import { x } from '../graph/ops/nn.ts';`],
    ['data/a.ts', 'data may not import models', `import { x } from '../models/config/index.ts';`],
    ['processor/a.ts', 'not the entry of models', `import { x } from '../models/llava.ts';`],
    ['index.ts', 'not the entry of engine', `export { x } from './engine/engine.ts';`],
    ['extra/a.ts', 'in none of the folders', ''],
    ['engine/a.ts', 'uses koffi', `import koffi from 'koffi';`],
    ['engine/a.ts', 'uses onnxruntime-node', `const ort = createRequire(import.meta.url)('onnxruntime-node');`],
    ['engine/a.ts', 'uses koffi', `type K = typeof import('koffi');`],
    ['processor/text/a.ts', 'uses sharp', `import sharp from 'sharp';`],
    ['core/a.ts', 'imports zod, which is no dependency', `import { z } from 'zod';`],
    ['core/a.ts', 'imports fs, which is no dependency', `import fs from 'fs';`],
    ['weights/a.ts', 'reads the environment', 'const home = process.env.HOME;'],
    ['weights/a.ts', 'reads the environment', 'const { env } = process;'],
    ['weights/a.ts', 'reads the environment', `import { argv } from 'node:process';`],
    ['core/a.ts', 'default export', 'export default 1;'],
    ['core/a.ts', 'enum', 'enum Colour { red }'],
    ['core/a.ts', 'any without a reason', 'const x = 1 as any;'],
    ['core/a.ts', 'any without a reason', 'function f(x: any) {}'],
    ['core/a.ts', 'plain Error', `throw new Error('bad');`],
    ['core/a.ts', 'plain Error', 'throw new RangeError(`bad`);'],
    ['core/a.ts', '401 lines (at most 400)', `/** @file x */\n${lines(400)}`],
    ['core/a.ts', '81 lines without a /** @file', lines(81)],
    ['core/a.ts', 'function of 81 lines', `/** @file x */\nfunction f() {\n${lines(79)}}`],
    ['core/a.ts', 'function of 81 lines', `/** @file x */\nclass A {\n  f() {\n${lines(79)}}}`],
  ])('%s: %s', (path, complaint, source) => {
    expect(of({ [path]: source })).toEqual([expect.stringContaining(complaint)]);
  });

  test('of a cycle of value imports, once', () => {
    const sources = {
      'nn/a.ts': `import { b } from './b.ts';`,
      'nn/b.ts': `export { c } from './c.ts';`,
      'nn/c.ts': `import './a.ts';`,
      'nn/d.ts': `import './a.ts';`,
    };
    expect(of(sources)).toEqual(['nn/a.ts:1: import cycle nn/a.ts → nn/b.ts → nn/c.ts → nn/a.ts']);
    expect(of({ 'nn/a.ts': `import './a.ts';` })).toHaveLength(1);
  });

  test('with the right line after letters of several bytes', () => {
    expect(of({ 'core/a.ts': '/** − √ 😀 */\n\nexport default 1;\n' })).toEqual([
      expect.stringMatching(/^core\/a\.ts:3: /),
    ]);
  });
});

describe('accepts', () => {
  test.each([
    ['graph/ops/a.ts', 'a folder above', `import { x } from '../../core/index.ts';\nimport { y } from '../op.ts';`],
    ['processor/a.ts', 'the image layout', `import { x } from '../models/image-layout.ts';`],
    ['index.ts', 'entries of folders', `export { x } from './engine/index.ts';`],
    ['runtime/a.ts', 'koffi and Node', `import { join } from 'node:path';\nconst koffi = require('koffi');`],
    ['engine/a.ts', 'a package in a message', `const message = 'onnxruntime-node: expected the library';`],
    ['app/cli/a.ts', 'the environment', 'const home = process.env.HOME ?? process.argv[2];'],
    ['runtime/a.ts', 'the platform', 'const where = process.platform;'],
    ['core/a.ts', 'any with a reason', 'const x = 1 as any; // the library has no types'],
    ['core/a.ts', 'errors', 'throw new Error(`internal: bad`);\nthrow new LlavaError(message);\nthrow error;'],
    ['core/a.ts', 'a header', `/**\n * @file x\n */\n${lines(300)}`],
    ['core/a.ts', 'no header in a short file', lines(80)],
    ['app/cli/main.ts', 'a header after #!', `#!/usr/bin/env node\n/** @file x */\n${lines(100)}`],
  ])('%s: %s', (path, _what, source) => {
    expect(of({ [path]: source })).toEqual([]);
  });

  test('cycles of types only', () => {
    const types = { 'nn/a.ts': `import type { B } from './b.ts';`, 'nn/b.ts': `import { type A } from './a.ts';` };
    expect(of(types)).toEqual([]);
  });
});
