/**
 * @file Names of weights as they are written: from our own names to each layout that checkpoints are published in. The way
 * back is in weight-names.ts, which reads all of them.
 */

/**
 * `hf`: the llava-hf files of the hub, which every version of `transformers` reads; `hf-new`: as transformers ≥ 4.52 names
 * weights in memory; `original`: the LLaVA repository's own.
 */
export const LAYOUTS = ['hf', 'hf-new', 'original'] as const;

/** A way to lay out a checkpoint. */
export type Layout = (typeof LAYOUTS)[number];

/** Regular expression on our name → name in the layout. First match wins; names without a rule stay. */
const RULES: { readonly [K in Layout]: readonly (readonly [ours: RegExp, stored: string])[] } = {
  hf: [],
  'hf-new': [
    [/^language_model\.model\./, 'model.language_model.'],
    [/^language_model\.lm_head\./, 'lm_head.'],
    [/^(vision_tower\.|multi_modal_projector\.|image_newline$)/, 'model.$1'],
  ],
  original: [
    [/^language_model\.(model|lm_head)\./, '$1.'],
    [/^vision_tower\./, 'model.vision_tower.vision_tower.'],
    [/^image_newline$/, 'model.image_newline'],
  ],
};

/** Name in `layout` of a LLaVA's weight; `projectorDepth` is the number of linear layers of its projector. */
export function storedName(layout: Layout, name: string, projectorDepth: number): string {
  const projector = /^multi_modal_projector\.linear_(\d+)\.(weight|bias)$/.exec(name);
  if (layout === 'original' && projector) {
    // activations stand between the layers, and are counted
    const place = projectorDepth === 1 ? '' : `${2 * (Number(projector[1]) - 1)}.`;
    return `model.mm_projector.${place}${projector[2]}`;
  }
  const rule = RULES[layout].find(([pattern]) => pattern.test(name));
  return rule ? name.replace(rule[0], rule[1]) : name;
}
