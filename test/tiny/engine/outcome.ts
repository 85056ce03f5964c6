/** @file All that a tiny model computes of a picture and a text, to compare ways of loading it. */

import { encodableImage, Llava, type LoadOptions, loadModel } from '../../../src/engine/index.ts';
import { imageLayout, type LlavaConfig } from '../../../src/models/index.ts';
import { randomIds } from './subject.ts';
import { tinyImage, tinyPixels } from './tiny-model.ts';

/** Features of a picture, then logits after it and text, read in two parts, the second a long one, and after each of three tokens. */
export async function outcome(folder: string, options: LoadOptions): Promise<number[][]> {
  using model = await loadModel(folder, { threads: 1, ...options });
  const layout = imageLayout(model.config as LlavaConfig, { width: 24, height: 24 });
  const [features] = await model.encodeImages([encodableImage({ pixels: tinyPixels(1), layout })]);
  const made = [Array.from(features!.data)];
  const images = [{ start: 2, features: features! }];
  const ids = randomIds(90, 5);
  using sequence = model.sequence(96);
  for (const length of [20, 90]) made.push(Array.from(await sequence.read({ ids: ids.slice(0, length), images })));
  for (const id of [7, 8, 9]) made.push(Array.from(await sequence.append(id)));
  return made;
}

/** A greedy answer about a picture. */
export async function answer(folder: string, options: LoadOptions): Promise<string> {
  using model = await Llava.load(folder, { threads: 1, ...options });
  return await model.ask('what is in this picture', { image: tinyImage(1), maxTokens: 12 });
}
