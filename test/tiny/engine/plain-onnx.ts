/** @file Exported files run by the plain JavaScript API of `onnxruntime-node`, as their README says, by nothing of ours. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { IMAGE_TOKEN_INDEX } from '../../../src/processor/index.ts';

/** The part of `onnxruntime-node`'s API that is used. */
interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}
interface InferenceSession {
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}
interface OnnxRuntime {
  readonly InferenceSession: { create(path: string, options: object): Promise<InferenceSession> };
  readonly Tensor: new (type: string, data: ArrayLike<unknown>, dims: readonly number[]) => Tensor;
}

const ort: OnnxRuntime = createRequire(import.meta.url)('onnxruntime-node');
const OPTIONS = { intraOpNumThreads: 1, logSeverityLevel: 3 };

const int64 = (dims: readonly number[], values: readonly number[]): Tensor =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
const int32 = (dims: readonly number[], value: number): Tensor => new ort.Tensor('int32', Int32Array.of(value), dims);
const float32 = (dims: readonly number[], values: Float32Array): Tensor => new ort.Tensor('float32', values, dims);

/** Runs `use` with a model of an export. */
async function withSession<T>(path: string, use: (session: InferenceSession) => Promise<T>): Promise<T> {
  const session = await ort.InferenceSession.create(path, OPTIONS);
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}

/** Image features, flat, of pixels [N, 3, S, S]. */
export function plainFeatures(folder: string, pixels: { shape: readonly number[]; data: Float32Array }) {
  return withSession(join(folder, 'vision.onnx'), async session => {
    const { features } = await session.run({ pixels: float32(pixels.shape, pixels.data) });
    return features!.data;
  });
}

/**
 * Greedy tokens that follow a prompt.
 * @param ids with the image token at each position that takes a row of `features`
 * @param room positions of the cache from the start on; 0 lets it grow
 */
export function plainGreedy(
  folder: string,
  ids: readonly number[],
  features: Float32Array,
  count: number,
  room: number,
): Promise<number[]> {
  const manifest = JSON.parse(readFileSync(join(folder, 'onnx.json'), 'utf8'));
  const { keyValueHeads, headSize, hiddenSize, layers, imageTokenId } = manifest;
  const isImage = (id: number) => id === imageTokenId || id === IMAGE_TOKEN_INDEX;
  const rotatesByLength = manifest.files['decoder.onnx'].inputs.some(
    ({ name }: { name: string }) => name === 'rotaryLength',
  );
  const shape = [1, keyValueHeads, room, headSize];
  const empty = float32(shape, new Float32Array(keyValueHeads * room * headSize));
  const names = Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
  let row = 0;
  const source = ids.map((id, t) => (isImage(id) ? ids.length + row++ : t));
  return withSession(join(folder, 'decoder.onnx'), async session => {
    let run = { ids: ids.map(id => (isImage(id) ? 0 : id)), source, features, length: ids.length };
    let past = Object.fromEntries(names.map(name => [`past.${name}`, empty]));
    const written: number[] = [];
    while (written.length < count) {
      const fresh = run.ids.length;
      const outputs = await session.run({
        ids: int64([1, fresh], run.ids),
        source: int64([1, fresh], run.source),
        features: float32([run.features.length / hiddenSize, hiddenSize], run.features),
        rows: int64([1], [fresh - 1]),
        lastPosition: int32([1], run.length - 1),
        totalLength: int32([], run.length),
        ...(rotatesByLength && { rotaryLength: int32([], run.length) }),
        ...past,
      });
      const token = indexOfLargest(outputs.logits!.data);
      written.push(token);
      past = Object.fromEntries(names.map(name => [`past.${name}`, outputs[`present.${name}`]!]));
      run = { ids: [token], source: [0], features: new Float32Array(0), length: run.length + 1 };
    }
    return written;
  });
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
