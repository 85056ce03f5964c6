/**
 * @file Where the inputs of a linear layer come from, so that their scale can be moved into its weights without changing what
 * the model computes (Xiao et al. 2022, "SmoothQuant"; Lin et al. 2023, "AWQ"): a norm's weights, or the outputs of another
 * linear layer that only pass through a product or a mean over positions.
 */

import type { LlamaConfig, LlavaConfig } from './config/index.ts';

/** What makes the inputs of a layer. Input k is scaled by entry `index(k)` of the source. */
export interface ScaleSource {
  readonly kind: 'norm' | 'layer';
  /** Its path. */
  readonly path: string;
  readonly index: (input: number) => number;
}

const same = (input: number): number => input;

const RULES: readonly (readonly [reader: RegExp, kind: ScaleSource['kind'], source: string])[] = [
  [/encoder\.layers\.(\d+)\.self_attn\.[qkv]_proj$/, 'norm', 'encoder.layers.$1.layer_norm1'],
  [/encoder\.layers\.(\d+)\.mlp\.fc1$/, 'norm', 'encoder.layers.$1.layer_norm2'],
  [/self_attn\.out_proj$/, 'layer', 'self_attn.v_proj'],
  [/layers\.(\d+)\.self_attn\.[qkv]_proj$/, 'norm', 'layers.$1.input_layernorm'],
  [/layers\.(\d+)\.mlp\.(?:gate|up)_proj$/, 'norm', 'layers.$1.post_attention_layernorm'],
  [/mlp\.down_proj$/, 'layer', 'mlp.up_proj'],
  [/self_attn\.o_proj$/, 'layer', 'self_attn.v_proj'],
  [/lm_head$/, 'norm', 'model.norm'],
];

/** The source of a layer's inputs; undefined where they come from something that no scale passes through. */
export function scaleSource(config: LlavaConfig | LlamaConfig, path: string): ScaleSource | undefined {
  const rule = RULES.find(([reader]) => reader.test(path));
  if (!rule) return undefined;
  const [reader, kind, source] = rule;
  const language = config.modelType === 'llava' ? config.language : config;
  const index = path.endsWith('.o_proj') ? sharedHeads(language) : same;
  return { kind, path: path.replace(reader, source), index };
}

/** Query heads of a group read the values of one head. */
function sharedHeads({ numAttentionHeads, numKeyValueHeads, headDim }: LlamaConfig): ScaleSource['index'] {
  const group = numAttentionHeads / numKeyValueHeads;
  return input => Math.floor(input / (headDim * group)) * headDim + (input % headDim);
}
