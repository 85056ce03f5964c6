/**
 * @file Pixels → image features, with the latest ones kept: several questions about one picture run the vision tower
 * once. Shapes: N images, S side in pixels, M feature rows of an image, D width of the language model.
 */

import { createHash } from 'node:crypto';
import { assert, type HostTensor, hostTensor, tensorBytes } from '../core/index.ts';
import type { Executable } from '../runtime/index.ts';
import type { ImageFeatures } from './sequence.ts';

/** Bytes of features that are kept. Those of one image are 9 MB in LLaVA-1.5-7B. */
const KEPT_BYTES = 64 * 2 ** 20;

/** A picture ready for the vision tower: pixels f32 [3, S, S], and a key that equal pixels share. */
export interface EncodableImage {
  readonly key: string;
  readonly pixels: HostTensor;
}

/** Names an image by its pixels. */
export function encodableImage(pixels: HostTensor): EncodableImage {
  return { key: createHash('sha1').update(tensorBytes(pixels)).digest('base64'), pixels };
}

/** The vision tower and projector of a model. */
export class ImageEncoder implements Disposable {
  readonly #executable: Executable;
  /** Least recently used first. */
  readonly #kept = new Map<string, ImageFeatures>();

  constructor(executable: Executable) {
    this.#executable = executable;
  }

  /** Features of each image, in order. */
  async encode(images: readonly EncodableImage[], signal?: AbortSignal): Promise<ImageFeatures[]> {
    const unknown = new Map(images.filter(({ key }) => !this.#kept.has(key)).map(image => [image.key, image]));
    const known = new Map(images.map(({ key }) => [key, this.#kept.get(key)]));
    // One at a time: the tower is bound by arithmetic, and the memory of a run grows with the number of images.
    for (const image of unknown.values()) known.set(image.key, await this.#run(image, signal));
    const features = images.map(({ key }) => known.get(key)!);
    for (const feature of features) this.#keep(feature);
    return features;
  }

  dispose(): void {
    this.#kept.clear();
    this.#executable.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #run({ key, pixels }: EncodableImage, signal?: AbortSignal): Promise<ImageFeatures> {
    const batch = hostTensor('f32', [1, ...pixels.shape], pixels.data);
    const outputs = await this.#executable.run({ pixels: batch }, { signal });
    using features = outputs.features;
    assert(features, 'vision tower without features');
    return { key, rows: features.shape[1]!, data: features.read().data as Float32Array };
  }

  #keep(feature: ImageFeatures): void {
    this.#kept.delete(feature.key);
    this.#kept.set(feature.key, feature);
    let bytes = 0;
    for (const { data } of this.#kept.values()) bytes += data.byteLength;
    for (const [key, { data }] of this.#kept) {
      if (bytes <= KEPT_BYTES) break;
      this.#kept.delete(key);
      bytes -= data.byteLength;
    }
  }
}
