/** @file Weights made from other weights: deltas, adapters, projectors; against peft and LLaVA's rules run by torch. */

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { f32Tensor, toFloat32 } from '../../../src/core/index.ts';
import {
  applyDelta,
  applyLora,
  isStored,
  makeDelta,
  openCheckpoint,
  openSafetensors,
  openTorch,
  openWeights,
  parseLoraConfig,
  readTensor,
  saveLora,
  saveWeights,
  tensorSource,
  type WeightEntry,
  type WeightStore,
  writeTorch,
} from '../../../src/weights/index.ts';
import { describeTensor, GOLDEN, readGolden, refusal, rejection, type SeenTensor, temporaryFolder } from './helpers.ts';

const LORA = join(GOLDEN, 'lora');
const BASE = join(LORA, 'base');
const DELTA = join(GOLDEN, 'delta');

function expectSame(store: WeightStore, expected: ReadonlyMap<string, WeightEntry>): void {
  expect([...store.entries.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const entry of expected.values()) {
    expect(describeTensor(store.read(entry.name)), entry.name).toEqual(describeTensor(readTensor(entry)));
  }
}

/** Largest absolute difference between the tensors of two sets. */
function largestDifference(store: WeightStore, expected: ReadonlyMap<string, WeightEntry>): number {
  const differences = Array.from(expected.values(), entry => {
    const [got, want] = [store.read(entry.name), readTensor(entry)];
    expect([got.dtype, got.shape], entry.name).toEqual([want.dtype, want.shape]);
    const [a, b] = [toFloat32(got), toFloat32(want)];
    return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  });
  return Math.max(...differences);
}

for (const kind of ['safetensors', 'bin']) {
  test(`a LoRA folder (${kind}) merged as by peft, with the projector beside it`, () => {
    const folder = join(LORA, kind);
    const store = openCheckpoint(folder, BASE);
    const expected = openSafetensors(join(folder, 'merged.safetensors')).entries;
    expect([...store.entries.keys()].sort()).toEqual([...expected.keys()].sort());
    expect(largestDifference(store, expected)).toBeLessThan(1e-6);
    const computed = [...store.entries.values()].filter(entry => !isStored(entry));
    expect(computed.length).toBe(kind === 'bin' ? 14 : 6);
  });
}

test('a LoRA folder needs its base, and says which', () => {
  const folder = join(temporaryFolder(), 'adapter');
  cpSync(join(LORA, 'safetensors'), folder, { recursive: true });
  const edit = (change: object): void => {
    const json = readGolden<object>('lora/safetensors/adapter_config.json');
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...json, ...change }));
  };
  expect(refusal(() => openCheckpoint(folder))).toBe(
    `${folder}: expected a base model (option modelBase) for an adapter, got none`,
  );
  edit({ base_model_name_or_path: 'lmsys/vicuna-7b-v1.5' });
  expect(refusal(() => openCheckpoint(folder))).toBe(
    `${folder}: expected a base model (option modelBase) for an adapter, which says that it is "lmsys/vicuna-7b-v1.5", got none`,
  );
  edit({ r: 8 });
  expect(refusal(() => openCheckpoint(folder, BASE))).toContain(
    `${folder}: expected an adapter of the base ${BASE}, got an adapter [24,4] · [4,16] of rank 8 for model.layers.0.mlp.up_proj.weight [24,16]; `,
  );
});

test('an adapter of another base is refused, and what differs is listed', async () => {
  const other = temporaryFolder();
  const tensors = Array.from(openWeights(BASE).entries.values(), entry => {
    const name = entry.name.replace('layers.1', 'layers.7');
    return tensorSource(name, name.includes('q_proj') ? f32Tensor([8, 16], new Float32Array(128)) : readTensor(entry));
  });
  await saveWeights(other, tensors);
  const message = refusal(() => openCheckpoint(join(LORA, 'safetensors'), other));
  expect(message).toContain('for model.layers.0.self_attn.q_proj.weight [8,16]');
  expect(message).toContain('an adapter of model.layers.1.mlp.up_proj.weight, which it has not');
});

test('adapters with half a pair, and tensors that no base has', async () => {
  const folder = join(temporaryFolder(), 'adapter');
  cpSync(join(LORA, 'safetensors'), folder, { recursive: true });
  rmSync(join(folder, 'adapter_model.safetensors'));
  const write = (name: string): Promise<void> =>
    writeTorch(join(folder, 'adapter_model.bin'), [tensorSource(name, f32Tensor([4, 16], new Float32Array(64)))]);
  await write('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight');
  expect(refusal(() => openCheckpoint(folder, BASE))).toBe(
    `${join(folder, 'adapter_model.bin')}: expected lora_A and lora_B for model.layers.0.self_attn.q_proj.weight, got one of them`,
  );
  await write('base_model.model.model.embed_tokens.lora_embedding_A');
  expect(refusal(() => openCheckpoint(folder, BASE))).toContain(
    'got model.embed_tokens.lora_embedding_A, which it has not',
  );
  await write('base_model.model.lm_head.modules_to_save.default.weight');
  expect(openCheckpoint(folder, BASE).read('lm_head.weight').shape).toEqual([4, 16]);
});

test('adapter configurations: what cannot be merged is refused', () => {
  const good = readGolden<Record<string, unknown>>('lora/bin/adapter_config.json');
  const parse = (change: object): string | undefined => refusal(() => parseLoraConfig({ ...good, ...change }, 'f'));
  expect(parseLoraConfig(good, 'f')).toMatchObject({ rank: 2, alpha: 3, rankStabilised: true });
  expect(parse({ peft_type: 'IA3' })).toBe('f: expected peft_type to be "LORA", got "IA3"');
  expect(parse({ use_dora: true })).toBe('f: expected use_dora to be none, got true');
  expect(parse({ alpha_pattern: { q_proj: 2 } })).toBe('f: expected alpha_pattern to be none, got {"q_proj":2}');
  for (const r of [0, -1, 1.5, '8', null]) expect(parse({ r })).toContain('f: expected r to be a whole number');
  for (const lora_alpha of ['8', null, undefined]) expect(parse({ lora_alpha })).toContain('expected lora_alpha');
  for (const json of [null, [], 'x', 3]) expect(refusal(() => parseLoraConfig(json, 'f'))).toContain('an object');
});

test('a delta applied to its base gives what LLaVA makes of it, bit for bit', () => {
  const store = openCheckpoint(join(DELTA, 'delta'), join(DELTA, 'base'));
  expectSame(store, openSafetensors(join(DELTA, 'applied.safetensors')).entries);
  expect(isStored(store.entries.get('model.mm_projector.0.weight')!)).toBe(true);
  expect(isStored(store.entries.get('model.norm.weight')!)).toBe(false);
});

test('making a delta is the inverse', () => {
  const target = openSafetensors(join(DELTA, 'target.safetensors')).entries;
  const store = { ...openWeights(join(DELTA, 'base')), folder: 'target', entries: target };
  expectSame(makeDelta(store, openWeights(join(DELTA, 'base'))), openWeights(join(DELTA, 'delta')).entries);
});

test('a delta of another base is refused, and whole weights are no delta', () => {
  const [delta, base] = [openWeights(join(DELTA, 'delta')), openWeights(join(DELTA, 'base'))];
  const change = (name: string, entry: WeightEntry | undefined): WeightStore => {
    const rest = [...base.entries].filter(([key]) => key !== name);
    return { ...base, entries: new Map([...rest, ...(entry ? [[name, entry] as const] : [])]) };
  };
  const lacking = change('model.layers.1.mlp.up_proj.weight', undefined);
  expect(refusal(() => applyDelta(delta, lacking))).toBe(
    `${delta.folder}: expected the weights of the base ${base.folder}, got model.layers.1.mlp.up_proj.weight, which it has not`,
  );
  const embedding = base.entries.get('model.embed_tokens.weight')!;
  const wider = change(embedding.name, { ...embedding, shape: [64, 17] });
  expect(refusal(() => applyDelta(delta, wider))).toContain('model.embed_tokens.weight [67,16], in the base [64,17]');
  const longer = change(embedding.name, { ...embedding, shape: [68, 16] });
  expect(refusal(() => applyDelta(delta, longer))).toContain('model.embed_tokens.weight [67,16], in the base [68,16]');
  const norm = base.entries.get('model.norm.weight')!;
  expect(refusal(() => applyDelta(delta, change(norm.name, { ...norm, dtype: 'i16' })))).toContain('of type i16');
  expect(refusal(() => openCheckpoint(BASE, BASE))).toBe(
    `${BASE}: expected differences to the base ${BASE}, got whole weights, which need no base`,
  );
});

test('a projector alone over a language model', async () => {
  const folder = join(GOLDEN, 'projector');
  expect(refusal(() => openCheckpoint(folder))).toBe(
    `${folder}: expected a base model (option modelBase) for a projector alone, got none`,
  );
  const store = openCheckpoint(folder, BASE);
  const expected = openSafetensors(join(folder, 'expected.safetensors')).entries;
  for (const [name, entry] of expected) expect(toFloat32(store.read(name))).toEqual(readTensor(entry).data);
  expect(store.entries.size).toBe(openWeights(BASE).entries.size + 4);

  const trained = temporaryFolder();
  const embeddings = (rows: number, name = 'model.embed_tokens.weight'): Promise<void> =>
    writeTorch(join(trained, 'mm_projector.bin'), [
      tensorSource('base.model.mm_projector.weight', f32Tensor([1], [1])),
      tensorSource(name, f32Tensor([rows, 16], new Float32Array(16 * rows))),
    ]);
  await embeddings(66);
  expect(openCheckpoint(trained, BASE).read('model.embed_tokens.weight').shape).toEqual([66, 16]);
  expect(openCheckpoint(trained, BASE).has('model.mm_projector.weight')).toBe(true);
  await embeddings(2);
  expect(refusal(() => openCheckpoint(trained, BASE))).toContain('got model.embed_tokens.weight [2,16]');
  await embeddings(66, 'optimizer');
  expect(refusal(() => openCheckpoint(trained, BASE))).toContain('got optimizer [66,16]');
});

test('a folder without weights says what it lacks', () => {
  expect(refusal(() => openCheckpoint(temporaryFolder()))).toContain('expected model.safetensors');
});

test('a torch file we write reads back, with aligned data', async () => {
  const path = join(temporaryFolder(), 'x.bin');
  const tensors = Array.from(openTorch(join(GOLDEN, 'zip.bin')).values())
    .filter(entry => !/uint(16|32|64)/.test(entry.name))
    .map(entry => tensorSource(entry.name, readTensor(entry)));
  await writeTorch(path, tensors);
  const expected = readGolden<{ tensors: Record<string, SeenTensor> }>('tensors.json').tensors;
  const entries = openTorch(path);
  expect(entries.size).toBe(tensors.length);
  for (const [name, entry] of entries) {
    expect(isStored(entry) && entry.offset % 64, name).toBe(0);
    expect(describeTensor(readTensor(entry)), name).toEqual(expected[name]);
  }
  const wide = tensorSource('w', { dtype: 'u16', shape: [1], data: new Uint16Array(1) });
  expect(await rejection(writeTorch(path, [wide]))).toContain('for a torch file, got "w" of u16');
  const huge = { ...wide, dtype: 'f32', shape: [2 ** 30] } as const;
  expect(await rejection(writeTorch(path, [huge]))).toContain('expected at most 4 GiB for a torch file');
  expect(readFileSync(path).length).toBeGreaterThan(1000);
});

test('a LoRA folder we write merges to the sum', async () => {
  const folder = join(temporaryFolder(), 'adapter');
  await saveLora(folder, {
    config: { rank: 1, alpha: 4, targetModules: ['v_proj'], base: 'some/base', dropout: 0.1 },
    adapters: new Map([
      [
        'model.layers.0.self_attn.v_proj',
        {
          a: tensorSource(
            'a',
            f32Tensor(
              [1, 16],
              Array.from({ length: 16 }, (_, i) => i),
            ),
          ),
          b: tensorSource('b', f32Tensor([8, 1], [1, 0, 0, 0, 0, 0, 0, -0.5])),
        },
      ],
    ]),
    others: [tensorSource('model.mm_projector.0.bias', f32Tensor([2], [3, 4]))],
  });
  const store = applyLora(folder, openWeights(BASE));
  const name = 'model.layers.0.self_attn.v_proj.weight';
  const [changed, before] = [toFloat32(store.read(name)), toFloat32(openWeights(BASE).read(name))];
  const factors = [4, 0, 0, 0, 0, 0, 0, -2];
  expect(changed).toEqual(before.map((value, i) => value + factors[Math.floor(i / 16)]! * (i % 16)));
  expect(store.read('model.mm_projector.0.bias').data).toEqual(Float32Array.of(3, 4));
});
