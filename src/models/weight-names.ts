/**
 * @file Names of one weight in the layouts that checkpoints use. This library's own names are those of the published
 * `llava-hf` files (`language_model.model.layers…`), so for these the map is the identity. Layouts: Hugging Face before and
 * since transformers 4.52 (facts: transformers' LlavaForConditionalGeneration key mappings) and the original repository's.
 */

import type { ModelConfig } from './config/index.ts';

/** Regular expression on the stored name → replacement; null drops the weight. First match wins. */
export type NameRule = readonly [stored: RegExp, ours: string | null];

/** LLaVA in any layout → our names. */
export const LLAVA_NAMES: readonly NameRule[] = [
  [/(^|\.)rotary_emb\.inv_freq$/, null],
  [/\.position_ids$/, null],
  // transformers ≥ 4.52
  [/^model\.language_model\./, 'language_model.model.'],
  [/^model\.vision_tower\.vision_tower\./, 'vision_tower.'],
  [/^model\.vision_tower\.(?=vision_model\.)/, 'vision_tower.'],
  [/^model\.vision_tower\./, 'vision_tower.vision_model.'],
  [/^model\.multi_modal_projector\./, 'multi_modal_projector.'],
  [/^(model\.)?image_newline$/, 'image_newline'],
  // original repository
  [/^model\.mm_projector\.(?=weight$|bias$)/, 'multi_modal_projector.linear_1.'],
  [/^model\.mm_projector\.0\./, 'multi_modal_projector.linear_1.'],
  [/^model\.mm_projector\.2\./, 'multi_modal_projector.linear_2.'],
  [/^model\.mm_projector\.4\./, 'multi_modal_projector.linear_3.'],
  [/^model\.mm_projector\.6\./, 'multi_modal_projector.linear_4.'],
  [/^model\.(?=embed_tokens\.|layers\.|norm\.)/, 'language_model.model.'],
  [/^lm_head\./, 'language_model.lm_head.'],
  // transformers 5 writes the tower without its inner name
  [/^vision_tower\.(?=embeddings\.|encoder\.|pre_layrnorm\.|post_layernorm\.|head\.)/, 'vision_tower.vision_model.'],
  // transformers ≤ 4.51 and our own
  [/^(language_model|vision_tower|multi_modal_projector)\./, '$1.'],
];

/** A language model alone. */
export const LLAMA_NAMES: readonly NameRule[] = [
  [/(^|\.)rotary_emb\.inv_freq$/, null],
  [/^(model|lm_head)\./, '$1.'],
];

/** CLIP. */
export const CLIP_NAMES: readonly NameRule[] = [
  [/\.position_ids$/, null],
  [/^(vision_model|text_model|visual_projection|text_projection)\./, '$1.'],
  [/^logit_scale$/, 'logit_scale'],
];

/** A whole CLIP or SigLIP, or its vision half alone, as the vision tower of a LLaVA. */
export const TOWER_NAMES: readonly NameRule[] = [
  [/\.position_ids$/, null],
  [/^(text_model|text_projection|visual_projection)\.|^logit_(scale|bias)$/, null],
  [/^vision_model\./, 'vision_tower.vision_model.'],
  [/^(?=embeddings\.|encoder\.|pre_layrnorm\.|post_layernorm\.|head\.)/, 'vision_tower.vision_model.'],
];

/** The rules for a model's checkpoint. */
export function nameRules(config: ModelConfig): readonly NameRule[] {
  if (config.modelType === 'llava') return LLAVA_NAMES;
  return config.modelType === 'clip' ? CLIP_NAMES : LLAMA_NAMES;
}

/** Our name of a stored weight, null where it is to be ignored, undefined where no rule knows it. */
export function ourName(rules: readonly NameRule[], stored: string): string | null | undefined {
  const rule = rules.find(([pattern]) => pattern.test(stored));
  if (!rule) return undefined;
  return rule[1] === null ? null : stored.replace(rule[0], rule[1]);
}
