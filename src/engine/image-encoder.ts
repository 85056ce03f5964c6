/**
 * @file Pixels → image features, with the latest ones kept: several questions about one picture run the vision tower
 * once. Shapes: N tiles of a run, S side in pixels, P features of a tile, M feature rows of an image, D width of the
 * language model.
 */

import { createHash } from 'node:crypto';
import { assert, type HostTensor, hostTensor, sizeOf, tensorBytes } from '../core/index.ts';
import { arrangeFeatures } from '../models/index.ts';
import type { PreparedImage } from '../processor/index.ts';
import type { Executable } from '../runtime/index.ts';
import type { ImageCache } from './image-cache.ts';
import type { ImageFeatures } from './sequence.ts';

/** Bytes of features that are kept. Those of one image are 9 MB in LLaVA-1.5-7B, up to 48 MB in LLaVA-1.6-7B. */
const KEPT_BYTES = 96 * 2 ** 20;

/** Tiles that one run of the vision tower reads: its memory grows with them, its speed hardly. */
export const TILES_PER_RUN = 2;

/** A picture ready for the vision tower, and a key that pictures of equal features share. */
export interface EncodableImage extends PreparedImage {
  readonly key: string;
}

/** Names an image by its pixels and the place that they take. */
export function encodableImage({ pixels, layout }: PreparedImage): EncodableImage {
  const hash = createHash('sha1').update(tensorBytes(pixels)).update(JSON.stringify(layout));
  return { key: hash.digest('base64'), pixels, layout };
}

/** The vision tower and projector of a model. */
export class ImageEncoder implements Disposable {
  readonly #executable: Executable;
  readonly #cache: ImageCache | undefined;
  /** Least recently used first. */
  readonly #kept = new Map<string, ImageFeatures>();

  /** @param cache keeps features on disk too */
  constructor(executable: Executable, cache?: ImageCache) {
    this.#executable = executable;
    this.#cache = cache;
  }

  /** Features of each image, in order. */
  async encode(images: readonly EncodableImage[], signal?: AbortSignal): Promise<ImageFeatures[]> {
    const unknown = new Map(images.filter(({ key }) => !this.#kept.has(key)).map(image => [image.key, image]));
    const known = new Map(images.map(({ key }) => [key, this.#kept.get(key)]));
    for (const image of unknown.values()) known.set(image.key, await this.#make(image, signal));
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

  /** From the disk, else by the tower. */
  async #make(image: EncodableImage, signal?: AbortSignal): Promise<ImageFeatures> {
    const kept = await this.#cache?.get(image.key, image.layout.tokenCount);
    if (kept) return kept;
    const features = await this.#run(image, signal);
    await this.#cache?.put(features);
    return features;
  }

  async #run({ key, pixels, layout }: EncodableImage, signal?: AbortSignal): Promise<ImageFeatures> {
    const tiles = pixels.shape[0]!;
    assert(tiles === layout.tiles, `an image of ${tiles} tiles with a layout of ${layout.tiles}`);
    let features: Float32Array | undefined;
    let newline: Float32Array | undefined;
    for (let tile = 0; tile < tiles; tile += TILES_PER_RUN) {
      const run = await this.#runTiles(pixels, tile, Math.min(tile + TILES_PER_RUN, tiles), signal);
      features ??= new Float32Array(tiles * sizeOf(run.features.shape.slice(1)));
      features.set(run.features.data as Float32Array, tile * sizeOf(run.features.shape.slice(1)));
      newline = run.newline?.data as Float32Array | undefined;
    }
    const width = features!.length / (tiles * layout.featuresPerTile);
    return { key, rows: layout.tokenCount, data: arrangeFeatures(layout, features!, width, newline) };
  }

  /** Features [N, P, D] of tiles [begin, end), and the newline vector of a model that has one. */
  async #runTiles(pixels: HostTensor, begin: number, end: number, signal?: AbortSignal) {
    const shape = pixels.shape.slice(1);
    const data = (pixels.data as Float32Array).subarray(begin * sizeOf(shape), end * sizeOf(shape));
    const outputs = await this.#executable.run(
      { pixels: hostTensor('f32', [end - begin, ...shape], data) },
      { signal },
    );
    using features = outputs.features;
    using newline = outputs.newline;
    assert(features, 'vision tower without features');
    return { features: features.read(), newline: newline?.read() };
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
