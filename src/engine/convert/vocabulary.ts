/**
 * @file The vocabulary of a converted model. Hugging Face's layout wants the token `<image>` and one for padding, and
 * embeddings of a multiple of 64 rows; the original's knows neither. Going there, tokens are added after the last one and
 * rows after the last row, each the mean of the old rows (transformers' converter draws them around that mean; nothing
 * reads them, since image features replace the one and padding is masked). Going back, exactly such an addition is undone;
 * any other vocabulary stays as it is.
 */

import { castFloat, type HostTensor, hostTensor, toFloat32 } from '../../core/index.ts';
import type { JsonObject, Layout, LlavaConfig } from '../../models/index.ts';
import { IMAGE_MARK, type TokenChange, type Tokenizer } from '../../processor/index.ts';
import { checkTokenizerSize } from '../open-processor.ts';

/** What becomes of the vocabulary. */
export interface VocabularyPlan {
  /** Rows of the embeddings. */
  readonly rows: number;
  readonly change: TokenChange;
  /** Id of `<image>`, where the tokenizer knows it. */
  readonly imageId: number | undefined;
  readonly padId: number | undefined;
}

const PAD_MARK = '<pad>';
/** Rows of the embeddings are a multiple of this, as matrix units like it. */
const ROW_STEP = 64;

const padded = (rows: number): number => Math.ceil(rows / ROW_STEP) * ROW_STEP;

/** What `layout` makes of the vocabulary of a LLaVA whose embeddings have `rows`. */
export function planVocabulary(layout: Layout, tokenizer: Tokenizer, rows: number, where: string): VocabularyPlan {
  checkTokenizerSize(where, tokenizer, rows);
  return layout === 'original' ? withoutAdded(tokenizer, rows) : withAdded(tokenizer, rows);
}

/** The vocabulary of a model without a tokenizer, as its configuration tells it. */
export function sameVocabulary({ language, format, imageTokenId }: LlavaConfig, json: JsonObject): VocabularyPlan {
  const padId = typeof json.pad_token_id === 'number' ? json.pad_token_id : undefined;
  const imageId = format === 'hf' ? imageTokenId : undefined;
  return { rows: language.vocabSize, change: { add: [], remove: [] }, imageId, padId };
}

function withAdded(tokenizer: Tokenizer, rows: number): VocabularyPlan {
  const { vocabSize, padId, unkId } = tokenizer;
  const knownImage = tokenizer.tokenToId(IMAGE_MARK);
  const hasPad = padId !== undefined && padId !== unkId;
  const knownPad = hasPad ? padId : tokenizer.tokenToId(PAD_MARK);
  const wanted = [...(knownImage === undefined ? [IMAGE_MARK] : []), ...(knownPad === undefined ? [PAD_MARK] : [])];
  const add = wanted.map((content, i) => ({ id: vocabSize + i, content }));
  const idOf = (content: string) => add.find(token => token.content === content)?.id;
  const needed = vocabSize + add.length;
  return {
    rows: needed <= rows ? rows : padded(needed),
    change: {
      add,
      remove: [],
      padToken: hasPad ? undefined : PAD_MARK,
      config: { image_token: IMAGE_MARK },
    },
    imageId: knownImage ?? idOf(IMAGE_MARK),
    padId: knownPad ?? idOf(PAD_MARK),
  };
}

function withoutAdded(tokenizer: Tokenizer, rows: number): VocabularyPlan {
  const { vocabSize, padId, unkId } = tokenizer;
  const added = [IMAGE_MARK, PAD_MARK].filter(content => tokenizer.tokenToId(content) !== undefined);
  const first = vocabSize - added.length;
  const isOurs = added[0] === IMAGE_MARK && added.every((content, i) => tokenizer.tokenToId(content) === first + i);
  if (!isOurs || rows !== padded(vocabSize)) {
    return { rows, change: { add: [], remove: [] }, imageId: tokenizer.tokenToId(IMAGE_MARK), padId };
  }
  const isPadGone = padId !== undefined && padId >= first;
  const unknown = unkId === undefined ? undefined : tokenizer.idToToken(unkId);
  return {
    rows: first,
    change: { add: [], remove: added, padToken: isPadGone ? unknown : undefined },
    imageId: undefined,
    padId: isPadGone ? unkId : padId,
  };
}

/** An embedding [V, D] with `rows` rows: cut, or lengthened by the mean of its rows. */
export function resizeRows(tensor: HostTensor, rows: number): HostTensor {
  const [old, width] = tensor.shape as [number, number];
  const { dtype, data } = tensor;
  if (rows <= old) return hostTensor(dtype, [rows, width], data.subarray(0, rows * width) as typeof data);
  const resized = hostTensor(dtype, [rows, width]);
  resized.data.set(data as never);
  const mean = castFloat(hostTensor('f32', [width], meanRow(tensor)), dtype as 'f32');
  for (let row = old; row < rows; row++) resized.data.set(mean.data as never, row * width);
  return resized;
}

/** Summed in f64, row by row, so that memory stays that of one row. */
function meanRow({ dtype, shape, data }: HostTensor): Float32Array {
  const [rows, width] = shape as [number, number];
  const sum = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    const part = data.subarray(row * width, (row + 1) * width) as typeof data;
    const values = toFloat32(hostTensor(dtype, [width], part));
    for (let i = 0; i < width; i++) sum[i]! += values[i]!;
  }
  return Float32Array.from(sum, value => value / rows);
}
