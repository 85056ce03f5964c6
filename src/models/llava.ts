/**
 * @file LLaVA (Liu et al. 2023): vision tower → projector → image features in place of the `<image>` tokens → decoder.
 * Shapes: N images, B sequences, T tokens (image tokens included), M image feature rows, R rows of logits.
 */

import {
  addDims,
  buildGraph,
  cast,
  concat,
  crossEntropy,
  type Dim,
  dim,
  expand,
  type Graph,
  gather,
  input,
  range,
  reduceMean,
  reshape,
  shapeSize,
  slice,
  type Value,
} from '../graph/index.ts';
import {
  causalMask,
  dynamicRotaryTables,
  type FormatPlan,
  lengthOf,
  type RotaryTables,
  rotaryTables,
  Scope,
} from '../nn/index.ts';
import { hasImageNewline, type LlamaConfig, type LlavaConfig, layerWindow } from './config/index.ts';
import {
  type AttentionContext,
  type CacheType,
  cacheInputs,
  cacheOutputs,
  llamaBlocks,
  llamaDecoder,
  llamaEmbed,
  llamaLogits,
  llamaNorm,
} from './language/llama.ts';
import { projector } from './projector.ts';
import { visionPooled, visionStates } from './vision/tower.ts';

/** Pixels [N, 3, S, S] → image features [N, image tokens, language width]. */
export function imageFeatures(scope: Scope, pixels: Value, config: LlavaConfig): Value {
  return projector(scope.at('multi_modal_projector'), selectedFeatures(scope, pixels, config), config);
}

/** The tower's features that the projector reads, [N, image tokens, vision width]. */
export function selectedFeatures(scope: Scope, pixels: Value, config: LlavaConfig): Value {
  const tower = scope.at('vision_tower.vision_model');
  const hidden = concat(visionStates(tower, pixels, config.vision, config.visionFeatureLayers), -1);
  const dropsClassToken = config.vision.modelType === 'clip_vision_model' && config.visionFeatureSelect === 'patch';
  return dropsClassToken ? slice(hidden, 1, 1, hidden.shape[1]!) : hidden;
}

/**
 * Token embeddings with image features put at the image positions.
 * @param tokenEmbeds [B, T, D]
 * @param features [M, D]
 * @param source i64 [B, T]: b·T + t where position (b, t) keeps its token embedding, B·T + m where it takes feature row m
 */
export function mergeImageFeatures(tokenEmbeds: Value, features: Value, source: Value): Value {
  const [batch, tokens, width] = tokenEmbeds.shape as [Dim, Dim, number];
  return gather(concat([reshape(tokenEmbeds, [shapeSize([batch, tokens]), width]), features], 0), source);
}

/** What the language model is fed, whether it trains or answers. */
export interface SequenceInputs {
  /** i64 [B, T]; any valid id at image positions and padding */
  readonly ids: Value;
  /** i64 [B, T], see {@link mergeImageFeatures} */
  readonly source: Value;
  /** i64 [R]: flat positions whose logits are wanted */
  readonly rows: Value;
}

/** Graph inputs `ids`, `source`, `rows`. */
export function sequenceInputs(batch: Dim, tokens: Dim): SequenceInputs {
  return {
    ids: input('ids', 'i64', [batch, tokens]),
    source: input('source', 'i64', [batch, tokens]),
    rows: input('rows', 'i64', [dim('R')]),
  };
}

/** Everything right of the vision tower: logits [R, vocabulary] and the extended cache. */
function decode(scope: Scope, inputs: SequenceInputs, features: Value, config: LlamaConfig, context: AttentionContext) {
  const merged = mergeImageFeatures(llamaEmbed(scope, inputs.ids, config), features, inputs.source);
  const { hidden, present } = llamaDecoder(scope, merged, inputs.rows, config, context);
  return { merged, present, logits: llamaLogits(scope, hidden, config) };
}

/** The learned vector that ends each row of a grid of tiles, [1, D]. */
function imageNewline(scope: Scope, { language }: LlavaConfig): Value {
  return reshape(scope.param('image_newline', [language.hiddenSize]), [1, language.hiddenSize]);
}

/**
 * Inference, first half: input `pixels` [N, 3, S, S] of N tiles, output `features` [N, P, D] and, of models that have it,
 * the vector `newline` [1, D]. See `image-layout.ts` for the rows that they become.
 */
export function visionGraph(config: LlavaConfig, plan?: FormatPlan): Graph {
  const side = config.vision.imageSize;
  const scope = new Scope('', plan);
  const features = imageFeatures(scope, input('pixels', 'f32', [dim('N'), 3, side, side]), config);
  return buildGraph({ features, ...(hasImageNewline(config) && { newline: imageNewline(scope, config) }) });
}

/**
 * Inference, second half, for prefill and for single steps alike. Inputs: `ids`, `source`, `rows`, `features` [M, D],
 * `lastPosition` [B], `totalLength`, `past.*`, and where {@link hasDynamicRotation} `rotaryLength`; outputs: `logits`
 * [R, vocabulary], `present.*`.
 * @param prefix where the causal model's weights are: `language_model` inside a LLaVA, '' alone
 * @param plan form of each linear layer's weight; by default all are float
 * @param cacheType of keys and values
 */
export function decoderGraph(
  config: LlamaConfig,
  prefix: string,
  plan?: FormatPlan,
  cacheType: CacheType = 'f32',
): Graph {
  return decoderPart(new Scope(prefix, plan), config, cacheType, [0, config.numHiddenLayers]);
}

/**
 * The same in `count` graphs that run one after another, each with its share of the layers: but for the first, each reads the
 * hidden states that the one before it makes, `hidden.<layer>`.
 */
export function decoderParts(
  config: LlamaConfig,
  prefix: string,
  plan: FormatPlan | undefined,
  cacheType: CacheType,
  count: number,
): Graph[] {
  const bound = (i: number): number => Math.round((i * config.numHiddenLayers) / count);
  return Array.from({ length: count }, (_, i) =>
    decoderPart(new Scope(prefix, plan), config, cacheType, [bound(i), bound(i + 1)]),
  );
}

/** Layers [begin, end), with the embedding before the first and the head after the last. */
function decoderPart(
  scope: Scope,
  config: LlamaConfig,
  cacheType: CacheType,
  [begin, end]: readonly [number, number],
): Graph {
  const [batch, tokens, capacity] = ['B', 'T', 'P'].map(dim) as [Dim, Dim, Dim];
  const inputs = sequenceInputs(batch, tokens);
  const context: AttentionContext = {
    kind: 'cached',
    past: cacheInputs(config, batch, capacity, cacheType),
    lastPosition: input('lastPosition', 'i32', [batch]),
    totalLength: input('totalLength', 'i32', []),
    tables: hasDynamicRotation(config)
      ? dynamicRotaryTables(addDims(capacity, tokens), cast(input('rotaryLength', 'i32', []), 'f32'), config)
      : rotaryTables(config.contextLength, config),
  };
  const embeds =
    begin === 0 ? mergedEmbeds(scope, inputs, config) : input(`hidden.${begin}`, 'f32', hiddenShape(inputs, config));
  const isLast = end === config.numHiddenLayers;
  const rows = isLast ? inputs.rows : undefined;
  const { hidden, present } = llamaBlocks(scope, embeds, config, context, { begin, end, rows });
  const made = isLast
    ? { logits: llamaLogits(scope, llamaNorm(scope, hidden, config), config) }
    : { [`hidden.${end}`]: reshape(hidden, hiddenShape(inputs, config)) };
  return buildGraph({ ...made, ...cacheOutputs(present, begin) });
}

/** Embeddings with the rows of the graph input `features` [M, D] at image positions. */
function mergedEmbeds(scope: Scope, { ids, source }: SequenceInputs, config: LlamaConfig): Value {
  const features = input('features', 'f32', [dim('M'), config.hiddenSize]);
  return mergeImageFeatures(llamaEmbed(scope, ids, config), features, source);
}

const hiddenShape = ({ ids }: SequenceInputs, { hiddenSize }: LlamaConfig): Dim[] => [...ids.shape, hiddenSize];

/**
 * Whether rotation depends on the sequence's length. The decoder then has the input `rotaryLength`, an i32 scalar: the length
 * of the whole sequence that is being read, even where it is read in pieces. As in `transformers`, keys that are in the cache
 * stay as they were rotated when the sequence was shorter.
 */
export function hasDynamicRotation(config: LlamaConfig): boolean {
  return config.ropeScaling?.type === 'dynamic';
}

/** Whole-sequence attention: causal, positions 0 … T−1; padding on the right needs no mask of its own. */
function fullContext(config: LlamaConfig, inputs: SequenceInputs): AttentionContext {
  const [batch, tokens] = inputs.ids.shape as [Dim, Dim];
  const positions = expand(reshape(range(tokens), [1, tokens]), [batch, tokens]);
  return { kind: 'full', positions, masks: layerMasks(config, tokens), tables: fullTables(config, tokens) };
}

function fullTables(config: LlamaConfig, tokens: Dim): RotaryTables {
  if (hasDynamicRotation(config)) return dynamicRotaryTables(tokens, lengthOf(tokens), config);
  return rotaryTables(config.contextLength, config);
}

/** The mask of each layer; layers of one kind share theirs. */
function layerMasks(config: LlamaConfig, tokens: Dim): Value[] {
  const masks = new Map<number | undefined, Value>();
  return Array.from({ length: config.numHiddenLayers }, (_, layer) => {
    const window = layerWindow(config, layer);
    const mask = masks.get(window) ?? causalMask(tokens, window);
    masks.set(window, mask);
    return mask;
  });
}

/** Values of one training step's forward pass. */
export interface LlavaForward {
  readonly features: Value;
  readonly merged: Value;
  readonly logits: Value;
}

/**
 * The training form of the model: pixels [N, 3, S, S] of N tiles and sequences in, logits [R, vocabulary] out. Of the rows
 * that the sequences choose from, the newline vector is the last.
 */
export function llavaForward(scope: Scope, pixels: Value, inputs: SequenceInputs, config: LlavaConfig): LlavaForward {
  const features = imageFeatures(scope, pixels, config);
  const tiles = reshape(features, [shapeSize(features.shape.slice(0, 2)), config.language.hiddenSize]);
  const flat = hasImageNewline(config) ? concat([tiles, imageNewline(scope, config)], 0) : tiles;
  const context = fullContext(config.language, inputs);
  const { merged, logits } = decode(scope.at('language_model'), inputs, flat, config.language, context);
  return { features, merged, logits };
}

/**
 * Asks `scope` for the tower's weights that the features do not need (last blocks, final norm), so that what is saved after
 * training is a whole tower.
 */
export function nameWholeTower(scope: Scope, pixels: Value, config: LlavaConfig): void {
  visionPooled(scope.at('vision_tower.vision_model'), pixels, config.vision);
}

/** The training form of a language model alone: sequences in, logits [R, vocabulary] out. */
export function llamaForward(scope: Scope, inputs: SequenceInputs, config: LlamaConfig): Value {
  const embeds = llamaEmbed(scope, inputs.ids, config);
  const { hidden } = llamaDecoder(scope, embeds, inputs.rows, config, fullContext(config, inputs));
  return llamaLogits(scope, hidden, config);
}

/**
 * One whole sequence at once, without a cache: `ids` [1, tokens] and, where there is a picture, `pixels` [1, 3, S, S] and `source`,
 * with the chosen `rows` of `logits`. What each layer reads can be seen in it.
 */
export function wholeGraph(config: LlavaConfig | LlamaConfig, tokens: number, hasPicture: boolean): Graph {
  const inputs = sequenceInputs(1, tokens);
  if (config.modelType !== 'llava') return buildGraph({ logits: llamaForward(new Scope(), inputs, config) });
  if (!hasPicture) return buildGraph({ logits: llamaForward(new Scope('language_model'), inputs, config.language) });
  const side = config.vision.imageSize;
  const pixels = input('pixels', 'f32', [1, 3, side, side]);
  return buildGraph({ logits: llavaForward(new Scope(), pixels, inputs, config).logits });
}

/** Mean next-token cross entropy: `targets` i64 [R] are the tokens that follow the rows of the logits. */
export function nextTokenLoss(logits: Value, targets: Value): Value {
  return reduceMean(crossEntropy(logits, targets), [0]);
}
