/**
 * @file What every decoder must keep: however a sequence is computed (at once, in chunks, token by token, after another,
 * beside another, in the training form), its logits are the same.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Sequence, SequenceContent } from '../../../src/engine/index.ts';
import { prefix, randomIds, Subject } from './subject.ts';
import { relativeError, TINY_JSON } from './tiny-model.ts';

const TOLERANCE = 1e-5;
const { vision_config: vision, text_config: text } = TINY_JSON;

/** One of each kind of decoder, tower and projector. Windows are shorter than the sequences, one is longer than a chunk. */
const MODELS: Readonly<Record<string, object>> = {
  'CLIP, Llama': {},
  'CLIP, Mistral': {
    text_config: { ...text, model_type: 'mistral', sliding_window: 13 },
    vision_feature_layer: [-2, -1],
    mm_projector_type: 'identity',
  },
  'SigLIP, Qwen2': {
    text_config: {
      ...text,
      model_type: 'qwen2',
      tie_word_embeddings: true,
      use_sliding_window: true,
      sliding_window: 520,
      max_window_layers: 1,
    },
    vision_config: { ...vision, model_type: 'siglip_vision_model', vision_use_head: false },
    vision_feature_layer: -1,
    vision_feature_select_strategy: 'full',
  },
};

describe.each(Object.entries(MODELS))('%s', (_title, json) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await Subject.open(json);
  });
  afterAll(() => subject[Symbol.dispose]());
  const expectFresh = async (logits: ArrayLike<number>, wanted: SequenceContent) =>
    expect(relativeError(logits, await subject.fresh(wanted))).toBeLessThan(TOLERANCE);

  test('token by token equals at once, after every token', async () => {
    const wanted = await subject.content(24, [2]);
    using sequence = subject.sequence(24);
    await sequence.read(prefix(wanted, 11)); // up to the image's end
    for (let length = 12; length <= 24; length++) {
      await expectFresh(await sequence.append(wanted.ids[length - 1]!), prefix(wanted, length));
    }
  });

  test('longer than a chunk, an image on the border, equals the decoder run at once', async () => {
    const wanted = await subject.content(600, [40, 507]);
    const [logits] = await subject.atOnce([wanted]);
    await expectFresh(logits!, wanted);
  });

  test('a cache that grew equals one that was large from the start', async () => {
    const wanted = await subject.content(90, [3]);
    using sequence = subject.sequence(1);
    await sequence.read(prefix(wanted, 60));
    for (const id of wanted.ids.slice(60)) await sequence.append(id);
    await expectFresh(await sequence.append(9), { ...wanted, ids: [...wanted.ids, 9] });
  });

  /** A second reading computes only what is new. */
  const reuse = async (sequence: Sequence, next: SequenceContent, shared: number) => {
    expect(sequence.sharedLength(next)).toBe(shared);
    await expectFresh(await sequence.read(next), next);
    expect(sequence.length).toBe(next.ids.length);
  };

  test('a second reading after the same beginning, after another ending, and for the same again', async () => {
    const wanted = await subject.content(50, [4]);
    using sequence = subject.sequence(50);
    await sequence.read(prefix(wanted, 30));
    await reuse(sequence, wanted, 30);
    const other = { ...wanted, ids: [...wanted.ids.slice(0, 20), ...randomIds(15, 99)] };
    await reuse(sequence, other, 20);
    await reuse(sequence, other, 34); // the last position is computed anew, for its logits
    await reuse(sequence, prefix(other, 10), 9); // inside the image
  });

  test('another image at the same place is another beginning', async () => {
    const wanted = await subject.content(40, [4, 20]);
    using sequence = subject.sequence(40);
    await sequence.read(wanted);
    const [first, second] = wanted.images;
    const swapped = { ...wanted, images: [first!, { start: 20, features: first!.features }] };
    await reuse(sequence, swapped, 20);
    const both = { ...wanted, images: [{ start: 4, features: second!.features }, second!] };
    await reuse(sequence, both, 4);
  });

  test('in a batch of different lengths equals alone', async () => {
    const batch = [
      await subject.content(30, [5], 1),
      await subject.content(17, [], 2),
      await subject.content(26, [0, 12], 3),
    ];
    const together = await subject.atOnce(batch);
    for (const [i, wanted] of batch.entries()) await expectFresh(together[i]!, wanted);
  });

  test('the training form gives the logits of vision and decoder', async () => {
    const wanted = await subject.content(26, [2, 14]);
    await expectFresh(await subject.trainingForm(wanted, [2, 14]), wanted);
  });
});

describe('rotation by the length of the sequence (dynamic)', () => {
  let subject: Subject;
  beforeAll(async () => {
    const rope_scaling = { rope_type: 'dynamic', factor: 40 };
    subject = await Subject.open({ text_config: { ...text, max_position_embeddings: 16, rope_scaling } });
  });
  afterAll(() => subject[Symbol.dispose]());

  test('longer than a chunk equals the decoder run at once', async () => {
    const wanted = await subject.content(600, [40, 507]);
    const [logits] = await subject.atOnce([wanted]);
    expect(relativeError(logits!, await subject.fresh(wanted))).toBeLessThan(TOLERANCE);
  });

  test('keys of a sequence of another length are used only while they were rotated alike', async () => {
    const wanted = await subject.content(30, [2]);
    using sequence = subject.sequence(30);
    await sequence.read(prefix(wanted, 13));
    expect(sequence.sharedLength(prefix(wanted, 16))).toBe(13);
    for (const length of [16, 24, 30, 24, 14]) {
      const next = prefix(wanted, length);
      const logits = await sequence.read(next);
      expect(relativeError(logits, await subject.fresh(next)), `${length}`).toBeLessThan(TOLERANCE);
    }
  });
});
