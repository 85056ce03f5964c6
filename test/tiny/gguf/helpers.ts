import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodableImage, type LlavaModel, type SequenceContent } from '../../../src/engine/index.ts';
import { type ImageSource, readImage, tokenizePrompt } from '../../../src/processor/index.ts';

export const GOLDEN = join(import.meta.dirname, '../../golden/gguf');

interface ModelGolden {
  readonly ids: readonly number[];
  readonly logits: string;
  readonly greedy: readonly number[];
}

interface Golden {
  readonly dequantised: Readonly<Record<string, { readonly blocks: string; readonly f32: string }>>;
  readonly quantised: { readonly f32: string; readonly Q8_0: string; readonly Q4_0: string };
  readonly small: Readonly<Record<string, { readonly shape: readonly number[]; readonly f32: string }>>;
  readonly models: { readonly llama: ModelGolden; readonly qwen2: ModelGolden };
}

export const golden = JSON.parse(readFileSync(join(GOLDEN, 'golden.json'), 'utf8')) as Golden;

export const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));
export const floatsOf = (base64: string): Float32Array => new Float32Array(bytesOf(base64).buffer);

/** A prompt with `<image>` marks and its pictures, ready for the decoder. */
export async function contentOf(model: LlavaModel, prompt: string, images: readonly ImageSource[] = []) {
  const prepared = await Promise.all(images.map(image => readImage(model.processor, image)));
  const layouts = prepared.map(({ layout }) => layout);
  const { ids, imageStarts } = tokenizePrompt(model.processor, prompt, layouts);
  const features = images.length === 0 ? [] : await model.encodeImages(prepared.map(encodableImage));
  return {
    ids: ids.map(id => Math.max(0, id)),
    images: imageStarts.map((start, i) => ({ start, features: features[i]! })),
  };
}

/** Logits after `content`, and the `count` likeliest tokens that follow, each read before the next. */
export async function greedy(model: LlavaModel, content: SequenceContent, count: number) {
  using sequence = model.sequence(content.ids.length + count);
  const logits = Float32Array.from(await sequence.read(content));
  const ids = [indexOfLargest(logits)];
  while (ids.length < count) ids.push(indexOfLargest(await sequence.append(ids.at(-1)!)));
  return { logits, ids };
}

export function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
