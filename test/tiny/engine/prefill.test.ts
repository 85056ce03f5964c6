/** @file Prompts longer than a chunk: chunks but the last make no logits, whatever form the weights have. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel, quantizeModel } from '../../../src/engine/index.ts';
import { LARGEST_CHUNK } from '../../../src/engine/sequence.ts';
import { WEIGHT_FORMATS } from '../../../src/models/index.ts';
import { randomIds } from './subject.ts';
import { relativeError, TINY_JSON, temporaryFolder, writeTinyModel } from './tiny-model.ts';

test.each(WEIGHT_FORMATS)('%s', async format => {
  using folder = temporaryFolder();
  await writeTinyModel(folder.path, {
    json: { text_config: { ...TINY_JSON.text_config, max_position_embeddings: 1024 } },
  });
  const copy = join(folder.path, 'copy');
  if (format !== 'float')
    await quantizeModel(folder.path, copy, { quantization: { format, exceptions: [] }, calibration: false });
  using model = await loadModel(format === 'float' ? folder.path : copy, { threads: 1 });
  const ids = randomIds(LARGEST_CHUNK + 40, 3);
  using chunked = model.sequence(ids.length);
  const got = (await chunked.read({ ids, images: [] })).slice();
  using stepped = model.sequence(ids.length);
  await stepped.read({ ids: ids.slice(0, 500), images: [] });
  const want = await stepped.read({ ids, images: [] });
  expect(relativeError(got, want)).toBeLessThan(1e-4);
});
