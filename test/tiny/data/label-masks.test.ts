/** @file Labels known by construction against those that the original LLaVA finds by counting tokens. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { buildExample, type Turn } from '../../../src/data/index.ts';
import {
  encodePrompt,
  getTemplate,
  moveImageFirst,
  renderPrompt,
  solidImage,
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromModel,
} from '../../../src/processor/index.ts';

interface Golden {
  readonly rows: readonly { readonly id: string; readonly image: boolean; readonly conversations: readonly Turn[] }[];
  /** By template and mode; null where the original refuses the conversation. */
  readonly masks: Record<string, Record<string, readonly ({ ids: number[]; trained: string } | null)[]>>;
}

const folders = [join(import.meta.dirname, '../../golden/data'), process.env.LLAVA_TOKENIZER_GOLDENS ?? ''];

function exampleOf(row: Golden['rows'][number], tokenizer: Tokenizer, template: string) {
  const sample = {
    id: row.id,
    images: row.image ? [solidImage(1, 1, [0, 0, 0])] : [],
    conversations: moveImageFirst(row.conversations),
  };
  return buildExample(sample, {
    tokenizer,
    template: getTemplate(template),
    preprocess: () => new Float32Array(3),
    imageRows: () => ({ rows: [0], featureRows: 1 }),
    maxLength: 100_000,
  });
}

describe.each(folders.filter(folder => existsSync(join(folder, 'label-masks.json.gz'))))('goldens %#', folder => {
  const read = (name: string): Buffer => gunzipSync(readFileSync(join(folder, name)));
  const golden: Golden = JSON.parse(read('label-masks.json.gz').toString());
  const tokenizers = {
    legacy: tokenizerFromModel(read('label-masks.model.gz')),
    modern: tokenizerFromModel(read('label-masks.model.gz'), { legacy: false }),
  };
  const cases = Object.entries(golden.masks).flatMap(([template, modes]) =>
    Object.keys(modes).map(mode => [template, mode as keyof typeof tokenizers] as const),
  );

  test.each(cases)('%s, %s: tokens and targets are the original ones', (template, mode) => {
    const expected = golden.masks[template]![mode]!;
    expect(expected.filter(mask => mask !== null).length).toBeGreaterThan(7);
    for (const [i, mask] of expected.entries()) {
      if (mask === null) continue;
      const { ids, trained } = exampleOf(golden.rows[i]!, tokenizers[mode], template);
      expect(ids, `ids of row ${i}`).toEqual(mask.ids);
      expect(trained.map(Number).join(''), `targets of row ${i}`).toBe(mask.trained);
    }
  });

  test.each(['v1', 'llava_llama_2', 'plain'])('%s: the tokens are those of the rendered conversation', name => {
    const template = getTemplate(name);
    for (const row of golden.rows) {
      const turns = moveImageFirst(row.conversations);
      if (template.plain && turns.length > 2) continue;
      for (const tokenizer of Object.values(tokenizers)) {
        expect(exampleOf(row, tokenizer, name).ids).toEqual(encodePrompt(tokenizer, renderPrompt(template, turns)));
      }
    }
  });
});

interface FastGolden {
  readonly rows: Golden['rows'];
  readonly templates: Record<string, { tokenizer: unknown; masks: ({ ids: number[]; trained: string } | null)[] }>;
  /** Ids of `tokenizer_image_token` by tokenizer, for each prompt. */
  readonly chunked: { prompts: string[]; ids: Record<string, number[][]> };
}

describe('fast tokenizers, whose text is encoded as a whole', () => {
  const read = gunzipSync(readFileSync(join(folders[0]!, 'label-masks-fast.json.gz'))).toString();
  const { rows, templates, chunked }: FastGolden = JSON.parse(read);

  const fastTokenizer = (name: string): Tokenizer =>
    tokenizerFromJson(templates[name]!.tokenizer, {
      roles: name === 'llava_llama_3' ? { bos: '<|begin_of_text|>' } : {},
    });

  test.each(Object.entries(templates))('%s: tokens and targets are the original ones', (name, { masks }) => {
    const fast = fastTokenizer(name);
    expect(masks.filter(mask => mask !== null).length).toBeGreaterThan(25);
    for (const [i, mask] of masks.entries()) {
      if (mask === null) continue;
      const { ids, trained } = exampleOf(rows[i]!, fast, name);
      expect(ids, `ids of row ${i}`).toEqual(mask.ids);
      expect(trained.map(Number).join(''), `targets of row ${i}`).toBe(mask.trained);
    }
  });

  test.each(Object.entries(chunked.ids))('%s: prompts around images are encoded chunk by chunk', (name, ids) => {
    const tokenizer = templates[name] ? fastTokenizer(name) : llama(name);
    chunked.prompts.forEach((prompt, i) => {
      expect(encodePrompt(tokenizer, prompt), prompt).toEqual(ids[i]);
    });
  });

  function llama(name: string): Tokenizer {
    const model = gunzipSync(readFileSync(join(folders[0]!, 'label-masks.model.gz')));
    const options = { legacy: name.startsWith('legacy') };
    if (!name.endsWith('without bos')) return tokenizerFromModel(model, options);
    const size = tokenizerFromModel(model).vocabSize;
    const flags = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false };
    const addedTokens = ['<|im_start|>', '<|im_end|>'].map((content, i) => ({ id: size + i, content, ...flags }));
    return tokenizerFromModel(model, { ...options, addBos: false, addedTokens });
  }
});

test('the golden tokenizer cuts markers as Llama does', () => {
  const tokenizer = tokenizerFromModel(gunzipSync(readFileSync(join(folders[0]!, 'label-masks.model.gz'))));
  const pieces = (text: string) => tokenizer.encode(text, { addBos: false }).map(id => tokenizer.idToToken(id));
  expect(pieces('USER').length).toBe(2); // with the space mark, one more than after a special token
  expect(pieces('### Human')[0]).toBe('▁###');
  expect(pieces('\n### Human').slice(2, 4)).toEqual(['##', '#']);
});
