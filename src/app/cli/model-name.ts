/** @file Names of models on the command line: a folder, or a repository of the Hub, downloaded with a bar. */

import type { Llava, LoadOptions } from '../../engine/index.ts';
import type { DownloadProgress } from '../../weights/index.ts';
import type { Io } from './commands.ts';
import type { ModelValues } from './options.ts';
import { formatBytes, ProgressBar } from './progress.ts';

/** How the help describes the name of a model. */
export const MODEL_NAME = 'a folder, a .gguf file, or org/name[@revision] of the Hub';

/**
 * The folder of the model that `name` stands for.
 * @param options.weights false: its settings and tokenizer only
 * @throws LlavaError when there is no such model, or it cannot be downloaded
 */
export async function modelFolder(name: string, io: Io, options: { readonly weights?: boolean } = {}): Promise<string> {
  const { resolveModel } = await import('../../weights/index.ts');
  using bar = new DownloadBar(io.stderr, name);
  return await resolveModel(name, { ...options, signal: io.signal, onProgress: progress => bar.update(progress) });
}

/** The same for the folders that a model may need beside its own. */
export async function companionFolders(
  { visionTower, modelBase }: Pick<ModelValues, 'visionTower' | 'modelBase'>,
  io: Io,
): Promise<{ visionTower?: string; modelBase?: string }> {
  return {
    ...(visionTower !== undefined && { visionTower: await modelFolder(visionTower, io) }),
    ...(modelBase !== undefined && { modelBase: await modelFolder(modelBase, io) }),
  };
}

/** Loads a model that is named so, and the vision tower that it may only name. */
export async function loadLlava(name: string, options: LoadOptions, io: Io): Promise<Llava> {
  const { Llava } = await import('../../engine/index.ts');
  using bar = new DownloadBar(io.stderr, name);
  return await Llava.load(name, { ...options, hub: { onProgress: progress => bar.update(progress) } });
}

/** A bar that starts anew when the size of the weights becomes known. */
class DownloadBar implements Disposable {
  readonly #stream: Io['stderr'];
  readonly #label: string;
  #bar: ProgressBar | undefined;
  #totalBytes = 0;

  constructor(stream: Io['stderr'], label: string) {
    this.#stream = stream;
    this.#label = label;
  }

  update({ bytes, totalBytes }: DownloadProgress): void {
    if (!this.#bar || totalBytes !== this.#totalBytes) {
      this.#bar = new ProgressBar(this.#stream, this.#label, totalBytes, bytes, formatBytes);
      this.#totalBytes = totalBytes;
    }
    this.#bar.update(bytes);
  }

  [Symbol.dispose](): void {
    this.#bar?.[Symbol.dispose]();
  }
}
