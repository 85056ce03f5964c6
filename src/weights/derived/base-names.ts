/**
 * @file Names of a base's weights as adapters write them. An adapter made with one version of transformers must find its
 * modules in a base saved by another, which moved the parts of a LLaVA (facts: the checkpoint conversion mapping of its
 * LlavaForConditionalGeneration; peft issue 2574).
 */

/** New layout → old layout, for both sides of a comparison. */
const SAME_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.language_model\./, 'language_model.model.'],
  [/^model\.(?=vision_tower\.|multi_modal_projector\.|image_newline$)/, ''],
  [/^vision_tower\.vision_model\./, 'vision_tower.'],
  [/^lm_head\./, 'language_model.lm_head.'],
];

function canonicalName(name: string): string {
  return SAME_NAMES.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name);
}

/** Finds the name that a base has for a weight; undefined where it has none. */
export function baseNames(names: Iterable<string>): (name: string) => string | undefined {
  const exact = new Set(names);
  const byCanonical = new Map(Array.from(exact, name => [canonicalName(name), name]));
  return name => (exact.has(name) ? name : byCanonical.get(canonicalName(name)));
}
