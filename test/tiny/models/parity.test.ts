/** @file The training form of each model against transformers: every intermediate point, f32, relative error ≤ 1e-5. */

import { describe, expect, test } from 'vitest';
import { type HostTensor, i64Tensor } from '../../../src/core/index.ts';
import { buildGraph, dim, emitOnnx, input } from '../../../src/graph/index.ts';
import {
  CLIP_NAMES,
  type ClipConfig,
  clipForward,
  clipInputs,
  clipLoss,
  type LlamaConfig,
  type LlavaConfig,
  llamaForward,
  llavaForward,
  selectedFeatures,
  sequenceInputs,
  visionPooled,
} from '../../../src/models/index.ts';
import { Scope } from '../../../src/nn/index.ts';
import { compile } from '../../../src/runtime/index.ts';
import {
  LLAMA_NAMES,
  LLAVA_FAMILIES,
  noPixels,
  openGolden,
  readWeights,
  relativeError,
  sequenceFeeds,
} from './goldens.ts';

const TOLERANCE = 1e-5;

async function run(
  outputs: Parameters<typeof buildGraph>[0],
  weights: ReadonlyMap<string, HostTensor>,
  feeds: Record<string, HostTensor>,
): Promise<Record<string, HostTensor>> {
  const model = emitOnnx(buildGraph(outputs), port => ({ kind: 'host', tensor: weights.get(port.name)! }));
  using executable = await compile(model);
  const known = Object.fromEntries(executable.inputs.map(({ name }) => [name, feeds[name]!]));
  const results = await executable.run(known);
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.read()]));
}

describe.each(LLAVA_FAMILIES)('%s', family => {
  const golden = openGolden(family);
  const config = golden.config as LlavaConfig;
  test.each(Object.keys(golden.cases))('%s: features, merged embeddings and logits', async name => {
    const scope = new Scope();
    const side = config.vision.imageSize;
    const pixels = input('pixels', 'f32', [dim('N'), 3, side, side]);
    const forward = llavaForward(scope, pixels, sequenceInputs(dim('B'), dim('T')), config);
    const ids = Array.from(golden.tensor(`${name}.input_ids`).data, Number);
    const hasImages = golden.has(`${name}.pixel_values`);
    const feeds = {
      ...sequenceFeeds(ids, config.imageTokenId),
      pixels: hasImages ? golden.tensor(`${name}.pixel_values`) : noPixels(side),
    };
    const selected = selectedFeatures(scope, pixels, config);
    const outputs = { ...forward, ...(hasImages ? { selected } : {}) };
    const results = await run(outputs, readWeights(golden.folder), feeds);
    const points: [string, string][] = [
      ['merged', 'merged_embeds'],
      ['logits', 'logits'],
      ...(hasImages
        ? ([
            ['selected', 'vision_features'],
            ['features', 'projected'],
          ] as [string, string][])
        : []),
    ];
    for (const [ours, theirs] of points) {
      expect(relativeError(results[ours]!, golden.tensor(`${name}.${theirs}`)), ours).toBeLessThan(TOLERANCE);
    }
  });
});

describe.each(['llama', 'llama-tied', 'mistral', 'qwen2', 'llama3-rope-biases', 'linear-rope', 'dynamic-rope'])(
  '%s',
  family => {
    const golden = openGolden(family);
    const config = golden.config as LlamaConfig;
    test.each(Object.keys(golden.cases))('%s: logits', async name => {
      const logits = llamaForward(new Scope(), sequenceInputs(dim('B'), dim('T')), config);
      const ids = Array.from(golden.tensor(`${name}.input_ids`).data, Number);
      const expected = golden.tensor(`${name}.logits`);
      const rows = i64Tensor([expected.shape[1]!], [...ids.keys()].slice(-expected.shape[1]!));
      const feeds = { ...sequenceFeeds(ids, -1), rows };
      const results = await run({ logits }, readWeights(golden.folder, LLAMA_NAMES), feeds);
      expect(relativeError(results.logits!, expected)).toBeLessThan(TOLERANCE);
    });
  },
);

test("SigLIP's head", async () => {
  const golden = openGolden('llava-siglip-qwen2');
  const { vision } = golden.config as LlavaConfig;
  const pixels = input('pixels', 'f32', [dim('N'), 3, vision.imageSize, vision.imageSize]);
  const pooled = visionPooled(new Scope('vision_tower.vision_model'), pixels, vision);
  const feeds = { pixels: golden.tensor('two_images.pixel_values') };
  const results = await run({ pooled }, readWeights(golden.folder), feeds);
  expect(relativeError(results.pooled!, golden.tensor('two_images.pooled'))).toBeLessThan(TOLERANCE);
});

test('clip: unit embeddings, similarities and loss', async () => {
  const golden = openGolden('clip');
  const config = golden.config as ClipConfig;
  const inputs = clipInputs(config, dim('N'), dim('T'));
  const outputs = clipForward(new Scope(), inputs, config);
  const loss = clipLoss(outputs, input('groups', 'i64', [dim('N')]));
  const ids = golden.tensor('pairs.input_ids');
  const [count, tokens] = ids.shape as [number, number];
  const lastToken = Array.from({ length: count }, (_, n) => {
    const row = Array.from(ids.data.slice(n * tokens, (n + 1) * tokens), Number);
    return n * tokens + row.indexOf(config.text.eosTokenId);
  });
  const results = await run({ ...outputs, loss }, readWeights(golden.folder, CLIP_NAMES), {
    pixels: golden.tensor('pairs.pixel_values'),
    ids,
    lastToken: { dtype: 'i64', shape: [count], data: BigInt64Array.from(lastToken, BigInt) },
    groups: { dtype: 'i64', shape: [count], data: BigInt64Array.from(lastToken.keys(), BigInt) },
  });
  const points = {
    imageEmbeds: 'image_embeds',
    textEmbeds: 'text_embeds',
    logitsPerImage: 'logits_per_image',
    loss: 'loss',
  };
  for (const [ours, theirs] of Object.entries(points)) {
    expect(relativeError(results[ours]!, golden.tensor(`pairs.${theirs}`)), ours).toBeLessThan(TOLERANCE);
  }
});
