/**
 * @file llama.cpp, to compare with: two npm packages with prebuilt binaries, of which this machine's alone are installed, into
 * a folder beside the other caches. They are no dependencies of the project: all their platforms together weigh hundreds of MB.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const FOLDER = join(import.meta.dirname, '../../../node_modules/.cache/llava-peers');
const PLATFORM = `${process.platform}-${process.arch}`;
const PACKAGES = [
  'node-llama-cpp@3.22.1',
  `@node-llama-cpp/${PLATFORM}@3.22.1`,
  '@fugood/llama.node@1.7.15',
  `@fugood/node-llama-${PLATFORM}@1.7.15`,
];

/** npm gives up after this. */
const INSTALL_MS = 240_000;

/** Why the peers are not there, undefined when they are. */
export function installPeers(): string | undefined {
  if (PLATFORM !== 'linux-x64') return `no pinned binaries for ${PLATFORM}`;
  if (existsSync(join(FOLDER, 'node_modules/@fugood/llama.node'))) return undefined;
  try {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(join(FOLDER, 'package.json'), '{ "private": true }\n');
    const flags = ['--ignore-scripts', '--omit=optional', '--no-fund', '--no-audit'];
    execFileSync('npm', ['install', ...flags, ...PACKAGES], { cwd: FOLDER, stdio: 'pipe', timeout: INSTALL_MS });
    return undefined;
  } catch (error) {
    return `npm install failed: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** What llama.cpp makes of a prompt. */
export interface PeerAnswer {
  /** Log-probability of each token as the first of the answer. */
  readonly logProbabilities: ReadonlyMap<number, number>;
  /** The likeliest tokens, one after another. */
  readonly greedy: readonly number[];
}

/** The parts of node-llama-cpp that are used. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      tokenize(text: string, specialTokens: boolean): number[];
      createContext(options: object): Promise<{ getSequence(): PeerSequence }>;
    }>;
    dispose(): Promise<void>;
  }>;
}

interface PeerSequence {
  evaluateWithMetadata(
    ids: readonly number[],
    metadata: { readonly probabilities: true },
    options: object,
  ): AsyncIterable<{ readonly token: number; readonly probabilities: ReadonlyMap<number, number> }>;
}

/** Token ids of `texts` and the answer to `prompt`, by a language model in GGUF form; keys and values in f32, one thread. */
export async function askLlamaCpp(file: string, texts: readonly string[], prompt: readonly number[], count: number) {
  const entry = pathToFileURL(join(FOLDER, 'node_modules/node-llama-cpp/dist/index.js')).href;
  const { getLlama } = (await import(entry)) as NodeLlamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' });
  try {
    const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
    const cache = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
    const context = await model.createContext({ contextSize: 512, threads: 1, flashAttention: false, ...cache });
    const greedy: number[] = [];
    let first: ReadonlyMap<number, number> = new Map();
    const options = { temperature: 0, yieldEogToken: true };
    for await (const step of context.getSequence().evaluateWithMetadata(prompt, { probabilities: true }, options)) {
      if (greedy.length === 0) first = step.probabilities;
      greedy.push(step.token);
      if (greedy.length === count) break;
    }
    const logProbabilities = new Map([...first].map(([id, probability]) => [id, Math.log(probability)]));
    const tokens = texts.map(text => model.tokenize(text, true));
    return { tokens, answer: { greedy, logProbabilities } satisfies PeerAnswer };
  } finally {
    await llama.dispose();
  }
}

/** The parts of llama.node that are used. */
interface LlamaNode {
  loadModel(options: object): Promise<{
    initMultimodal(options: object): boolean;
    completion(options: object): Promise<{ readonly text: string }>;
    release(): Promise<void>;
  }>;
}

/** llama.cpp's answer about a picture, whose place in the prompt is `<__media__>`, by a pair of GGUF files. */
export async function askAboutPicture(model: string, mmproj: string, prompt: string, image: string, count: number) {
  const { loadModel } = createRequire(join(FOLDER, 'package.json'))('@fugood/llama.node') as LlamaNode;
  const cache = { cache_type_k: 'f32', cache_type_v: 'f32', flash_attn_type: 'off' };
  const context = await loadModel({ model, n_ctx: 512, n_gpu_layers: 0, n_threads: 1, ...cache });
  const isLoaded = context.initMultimodal({ path: mmproj, use_gpu: false });
  const { text } = await context.completion({
    ...{ prompt, media_paths: [image], n_predict: count, temperature: 0, top_k: 1, ignore_eos: true, seed: 1 },
  });
  await context.release();
  return { isLoaded, text };
}
