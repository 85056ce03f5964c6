import { expect, test } from 'vitest';
import { opsDoc } from './ops-doc.ts';

test('docs/ops.md is up to date with the op table (rewrite it with -u)', async () => {
  await expect(opsDoc()).toMatchFileSnapshot('../../../docs/ops.md');
});
